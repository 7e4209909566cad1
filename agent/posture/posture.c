#include "posture/posture.h"

const char *const ea_state_names[EA_STATE_COUNT] = {"none", "conforming", "unknown", "deviating"};

/* The category is the id's letters: "OPS-21" -> "OPS". */
static struct ea_str category_of(struct ea_str id)
{
    struct ea_str rest;

    return ea_str_cut(id, '-', &rest);
}

static void add_counts(struct ea_check_counts *to, const struct ea_check_counts *from)
{
    to->pass += from->pass;
    to->fail += from->fail;
    to->unknown += from->unknown;
    to->exempted += from->exempted;
}

/* The requirement's state from one more check. */
static void add_check(struct ea_posture_item *it, const struct ea_control *c,
                      const struct ea_check_counts *n)
{
    enum ea_state s = EA_STATE_NONE;

    it->checks++;
    add_counts(&it->counts, n);
    if (n->fail)
        s = EA_STATE_DEVIATING;
    else if (n->unknown || (n->pass + n->exempted && c->fit == EA_FIT_WEAK))
        s = EA_STATE_UNKNOWN;
    else if (n->pass + n->exempted)
        s = EA_STATE_CONFORMING;
    /* weak evidence neither spoils nor makes what better evidence shows */
    if (s == EA_STATE_UNKNOWN && !n->unknown && it->state == EA_STATE_CONFORMING)
        return;
    if (s == EA_STATE_CONFORMING && it->state == EA_STATE_UNKNOWN && it->counts.unknown == 0)
        it->state = s;
    it->state = EA_MAX(it->state, s);
}

static void add_part(struct ea_posture_item *whole, const struct ea_posture_item *part)
{
    whole->states[part->state]++;
    whole->checks += part->checks;
    whole->state = EA_MAX(whole->state, part->state);
    add_counts(&whole->counts, &part->counts);
}

static struct ea_posture_item *find_requirement(const struct ea_posture *p, struct ea_str id)
{
    for (unsigned lo = 0, hi = p->n_requirements; lo < hi;) {
        unsigned mid = lo + (hi - lo) / 2;
        int c = ea_str_cmp(p->requirements[mid].id, id);

        if (c == 0)
            return &p->requirements[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

/* Requirements are sorted by id, so those of one control, and the controls of one category, follow
 * each other. */
static struct ea_posture_item *last_item(struct ea_posture_item *items, unsigned *n,
                                         struct ea_str id)
{
    for (unsigned i = 0; i < *n; i++) {
        if (ea_str_eq(items[i].id, id))
            return &items[i];
    }
    items[*n].id = id;
    return &items[(*n)++];
}

int ea_posture_make(const struct ea_ruleset *rs, const struct ea_check_counts *counts,
                    enum ea_level level, struct ea_arena *a, struct ea_posture *ret)
{
    const struct ea_catalogue *cat = &rs->catalogue;
    size_t n = cat->n_requirements ? cat->n_requirements : 1;
    struct ea_posture p = {.level = level, .whole = {.id = EA_STR("EUCS")}};

    p.requirements = ea_arena_zalloc(a, n * sizeof(*p.requirements));
    p.controls = ea_arena_zalloc(a, n * sizeof(*p.controls));
    p.categories = ea_arena_zalloc(a, n * sizeof(*p.categories));
    if (!p.requirements || !p.controls || !p.categories)
        return -E2BIG;
    for (unsigned i = 0; i < cat->n_requirements; i++) {
        if (cat->requirements[i].level <= level)
            p.requirements[p.n_requirements++] = (struct ea_posture_item){
                .id = cat->requirements[i].id, .level = cat->requirements[i].level};
    }
    for (unsigned i = 0; i < rs->n_controls; i++) {
        const struct ea_control *c = &rs->controls[i];

        for (unsigned j = 0; j < c->n_requirements; j++) {
            struct ea_posture_item *it = find_requirement(&p, c->requirements[j]);

            if (it)
                add_check(it, c, &counts[i]);
        }
    }
    for (unsigned i = 0; i < p.n_requirements; i++) {
        const struct ea_requirement *r = ea_requirement_find(cat, p.requirements[i].id);

        add_part(last_item(p.controls, &p.n_controls, r->control), &p.requirements[i]);
    }
    for (unsigned i = 0; i < p.n_controls; i++)
        add_part(last_item(p.categories, &p.n_categories, category_of(p.controls[i].id)),
                 &p.controls[i]);
    for (unsigned i = 0; i < p.n_categories; i++)
        add_part(&p.whole, &p.categories[i]);
    *ret = p;
    return 0;
}

static void render_head(struct ea_buf *b, const struct ea_posture_item *it)
{
    ea_buf_addz(b, "{\"id\":");
    ea_buf_add_json(b, it->id);
    ea_buf_addf(b,
                ",\"state\":\"%s\",\"checks\":%u,\"objects\":{\"pass\":%llu,\"fail\":%llu,"
                "\"unknown\":%llu,\"exempted\":%llu}",
                ea_state_names[it->state], it->checks, (unsigned long long)it->counts.pass,
                (unsigned long long)it->counts.fail, (unsigned long long)it->counts.unknown,
                (unsigned long long)it->counts.exempted);
}

static bool belongs(struct ea_str id, struct ea_str head)
{
    return id.n > head.n && ea_str_starts(id, head) && (id.p[head.n] == '-' || id.p[head.n] == '.');
}

static void render_control(struct ea_buf *b, const struct ea_posture *p,
                           const struct ea_posture_item *control)
{
    bool first = true;

    render_head(b, control);
    ea_buf_addz(b, ",\"requirements\":[");
    for (unsigned i = 0; i < p->n_requirements; i++) {
        if (!belongs(p->requirements[i].id, control->id))
            continue;
        if (!first)
            ea_buf_addc(b, ',');
        first = false;
        render_head(b, &p->requirements[i]);
        ea_buf_addf(b, ",\"level\":\"%s\"}", ea_level_names[p->requirements[i].level]);
    }
    ea_buf_addz(b, "]}");
}

int ea_posture_render(struct ea_buf *b, const struct ea_posture *p)
{
    ea_buf_addf(b, "{\"level\":\"%s\",\"summary\":", ea_level_names[p->level]);
    render_head(b, &p->whole);
    ea_buf_addz(b, "},\"categories\":[");
    for (unsigned i = 0; i < p->n_categories; i++) {
        bool first = true;

        if (i)
            ea_buf_addc(b, ',');
        render_head(b, &p->categories[i]);
        ea_buf_addz(b, ",\"controls\":[");
        for (unsigned j = 0; j < p->n_controls; j++) {
            if (!belongs(p->controls[j].id, p->categories[i].id))
                continue;
            if (!first)
                ea_buf_addc(b, ',');
            first = false;
            render_control(b, p, &p->controls[j]);
        }
        ea_buf_addz(b, "]}");
    }
    ea_buf_addz(b, "]}");
    return b->failed;
}
