/* What a browser sends to the web server: a form body and a Cookie header; and what comes back,
 * escaped. */
#include <stdio.h>

#include "web/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(c) ((c) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c), abort()))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ea_str text = ea_strn((const char *)data, size), token, id;
    struct ea_buf b;
    char small[16];

    token = web_form_token(text, small, sizeof(small));
    CHECK(token.n <= sizeof(small));
    id = web_session_cookie(text);
    CHECK(id.n <= size && !memchr(id.p ? id.p : "", ';', id.n));
    ea_buf_init(&b, 1u << 20);
    web_escape(&b, text);
    for (size_t i = 0; i < b.n; i++)
        CHECK(!strchr("<>\"'", b.p[i]) || b.p[i] == 0);
    ea_buf_done(&b);
    return 0;
}
