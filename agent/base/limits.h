/* base/limits.h - every ceiling of the agent, one line each, with unit and reason.
 *
 * Thread:  constants only.
 * A value from outside that exceeds its ceiling is refused with -E2BIG and counted, never cut
 * silently.
 */
#ifndef EA_BASE_LIMITS_H
#define EA_BASE_LIMITS_H

/* a table, one line an entry */
/* clang-format off */

/* documents */
#define EA_MAX_DEPTH 128u /* nesting of JSON and YAML; objects in the API stay below 30 */
/* bytes; API bodies are <= 3 MiB, a review holds two objects */
#define EA_MAX_ADMISSION_BODY (7u << 20)
#define EA_MAX_MANIFEST (16u << 20) /* bytes of one manifest file or of stdin */
#define EA_MAX_OWN_FILE (4u << 20) /* bytes of a control, case, catalogue or configuration file */
#define EA_MAX_YAML_ALIASES 256u /* alias uses in one document (billion laughs) */
#define EA_MAX_YAML_NODES 2000000u /* nodes of one document after alias expansion */
#define EA_MAX_YAML_WARNINGS 100u /* warnings kept of one YAML stream, then one that says so */
#define EA_MAX_DOCUMENTS 100000u /* documents in one YAML stream */
#define EA_MAX_JSON_NODES 4000000u /* nodes of one JSON document */

/* HTTP */
#define EA_MAX_HTTP_HEAD (16u << 10) /* bytes of request line and headers */
/* open connections of one server when the configuration says nothing */
#define EA_MAX_HTTP_CONNECTIONS 1024u
#define EA_MAX_HTTP_ANSWER (64u << 20) /* bytes of one answer with its headers */
#define EA_MAX_WEB_FINDINGS 1000u /* findings on the status page and in one answer of its API */
#define EA_MAX_WEB_SESSIONS 64u /* browser sessions; the oldest gives way */
/* bytes of a refused body that are read and thrown away so that the answer is seen */
#define EA_HTTP_DRAIN (16u << 20)

/* API server */
#define EA_MAX_OBJECT (3u << 20) /* bytes of one object in a watch; etcd's own limit is 1.5 MiB */
#define EA_MAX_LIST_PAGE (128u << 20) /* bytes of one list page of 500 objects */
#define EA_MAX_KUBECONFIG (1u << 20) /* bytes */
#define EA_MAX_CREDENTIAL (256u << 10) /* bytes of a token, certificate bundle or key file */
#define EA_MAX_EXEC_OUTPUT (1u << 20) /* bytes an exec credential plugin may print */
#define EA_MAX_EXEC_WORDS 128u /* arguments or variables of an exec credential plugin */
#define EA_MAX_API_REPLY (16u << 20) /* bytes of one answer that is no list (discovery documents) */
#define EA_MAX_STATUS_REPLY (64u << 10) /* bytes kept of a failed call's Status */
#define EA_MAX_LIST_HEAD (64u << 10) /* bytes of a list beside its items */
#define EA_MAX_WATCHES 256u /* watched resources; a rule set asks for about 25 */
#define EA_MAX_DISCOVERY_GROUPS 4096u /* group versions asked for */

/* CEL (cel.md 4.5, apiserver pkg/apis/cel/config.go) */
#define EA_MAX_CEL_SOURCE (16u << 10) /* bytes of one expression */
#define EA_MAX_CEL_NESTING 64u /* nested calls and parentheses */
#define EA_MAX_CEL_DEPTH 250u /* depth of a syntax tree, cel-go's default recursion limit */
#define EA_MAX_CEL_PATTERN 4096u /* bytes of a regular expression */
#define EA_CEL_MATCH_STEPS 100000u /* PCRE2 match limit: some 5 ms of backtracking */
#define EA_CEL_MATCH_HEAP 2048u /* KiB, PCRE2 heap limit of one match */
/* matches per run that may end at those limits before the run ends too */
#define EA_CEL_MATCH_HITS 16u
#define EA_MAX_CEL_FORMAT (1u << 20) /* bytes of one format() result */
#define EA_MAX_CEL_LAZY 64u /* variables evaluated inside one another */
#define EA_MAX_CEL_CODE 4096u /* instructions of one program */
#define EA_CEL_COST_CALL 1000000ull /* cost units of one expression */
#define EA_CEL_COST_CONTROL 10000000ull /* cost units of one control */
#define EA_MAX_CEL_MESSAGE (5u << 10) /* bytes of a message expression's result */

/* findings and answers */
#define EA_MAX_FAILURES 16u /* failing elements listed per finding, then "more": n */
#define EA_MAX_WARNINGS 10u /* warnings per answer; the API server cuts at 4096 runes in all */
/* bytes of the message of one denial; what does not fit is counted in it */
#define EA_MAX_DENIAL (32u << 10)
#define EA_UNAUTHENTICATED_CALLS 4u /* callers without token or certificate served at a time */
#define EA_UNAUTHENTICATED_BYTES (16u << 20) /* bytes of their bodies in all */
#define EA_MAX_REVIEW_ANSWER (256u << 10) /* bytes of one answer to an admission review */
#define EA_MAX_WARNING_LEN 120u /* characters of one warning */

/* evidence */
#define EA_MAX_RECORD (1u << 20) /* bytes of one record */
/* bytes of a name, path or user in an admission record; longer ones are cut visibly */
#define EA_MAX_RECORD_TEXT 256u
#define EA_MAX_UNSYNCED (4u << 20) /* bytes written and not yet synced */
/* bytes of one segment file that is read as ours; written ones are 16 MiB */
#define EA_MAX_SEGMENT (1u << 30)
/* bytes of a checkpoint note; ours are below 1 kB, cosignatures add about 200 each */
#define EA_MAX_CHECKPOINT (16u << 10)
#define EA_MAX_PEM (1u << 20) /* bytes of a PEM text: keys and bundles of certificates */

/* directory source */
#define EA_MAX_DIR_FILES 100000u /* manifest files below one folder */
#define EA_MAX_DIR_DEPTH 32u /* nested folders */

/* published findings */
#define EA_MAX_SNAPSHOT_ROWS 100000u /* failures and unknowns that a dashboard may page through */
/* bytes of the verdict digest; 40,000 objects need about 8 MiB */
#define EA_MAX_DIGEST (256u << 20)

/* memory of one unit of work */
#define EA_ARENA_REVIEW (64u << 20) /* bytes an admission review may use */
#define EA_ARENA_OBJECT (64u << 20) /* bytes to judge one watched object */
#define EA_ARENA_SCAN (512u << 20) /* bytes of one manifest file and its findings */

#endif
