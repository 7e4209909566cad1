/* yaml2json: what the agent's `kubernetes` YAML profile makes of the files named; the counterpart
 * of tests/cluster/yamlref. For each file a line "== FILE", then one line of JSON a document, or
 * {"$error":"..."} when the stream is refused.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "doc/print.h"
#include "doc/yaml.h"

static int read_file(const char *name, struct ea_buf *text)
{
    char piece[4096];
    size_t n;
    FILE *f = fopen(name, "rb");

    if (f == NULL)
        return -errno;
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0 && !text->failed)
        ea_buf_add(text, piece, n);
    fclose(f);
    return text->failed;
}

static void print_error(const char *text)
{
    struct ea_buf line;

    ea_buf_init(&line, 65536);
    ea_buf_addz(&line, "{\"$error\":");
    ea_buf_add_json(&line, ea_str(text));
    printf("%.*s}\n", (int)line.n, line.p);
    ea_buf_done(&line);
}

static void print_document(const struct ea_val *root)
{
    struct ea_buf line;

    ea_buf_init(&line, EA_MAX_MANIFEST * 4u);
    if (ea_json_print(&line, root) != 0)
        print_error("not printable as JSON");
    else
        printf("%.*s\n", (int)line.n, line.p);
    ea_buf_done(&line);
}

static int convert(const char *name)
{
    struct ea_yaml_stream stream = {0};
    struct ea_err err = {0};
    struct ea_arena arena;
    struct ea_buf text;

    ea_buf_init(&text, EA_MAX_MANIFEST);
    ea_arena_init(&arena, EA_ARENA_SCAN, 0);
    printf("== %s\n", name);
    if (read_file(name, &text) != 0) {
        fprintf(stderr, "yaml2json: %s cannot be read\n", name);
        return 2;
    }
    if (ea_yaml_parse(&arena, ea_buf_str(&text), EA_YAML_KUBERNETES, &stream, &err) != 0)
        print_error(ea_err_text(&err));
    else
        for (size_t i = 0; i < stream.n; i++)
            print_document(&stream.docs[i].root);
    ea_arena_done(&arena);
    ea_buf_done(&text);
    return 0;
}

int main(int argc, char **argv)
{
    int code = 0;

    for (int i = 1; i < argc && code == 0; i++)
        code = convert(argv[i]);
    return code;
}
