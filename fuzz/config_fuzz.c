/* Any bytes as a config: it loads or it is refused with errors, and what is shown of it is there. Errors stay lines with a place. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "config/config.h"

/* libfyaml 0.7.12 keeps a token for itself when certain texts stop its parser, as quotes that touch each other in a key. A
 * process reads few configs, so the bytes do not matter; what weir itself allocates is still watched. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libfyaml";
}

static void check_errors(const struct config_errors *errors)
{
    const char *at = errors->text.data, *end = at ? at + errors->text.size : NULL;
    for (uint32_t i = 0; i < errors->line_count; i++) {
        assert(at && (size_t)(end - at) >= errors->line_sizes[i]);
        at += errors->line_sizes[i];
        assert(at[-1] == '\n');
    }
    assert(at == end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* The part behind a NUL, when there is one, is the value of an override of the option named before a '='. */
    char *text = memory_copy_text((const char *)data, size);
    size_t text_size = strlen(text);
    struct config_override override = {0};
    if (text_size < size) {
        char *equals = strchr(text + text_size + 1, '=');
        if (equals) {
            *equals = '\0';
            override = (struct config_override){text + text_size + 1, equals + 1};
        }
    }
    struct config_errors errors;
    config_errors_init(&errors, "f");
    struct config *config = config_load("f", text, &override, override.path ? 1 : 0, &errors);
    assert((config != NULL) == (errors.count == 0));
    check_errors(&errors);
    config_destroy(config);
    config_errors_deinit(&errors);

    config_errors_init(&errors, "f");
    config_destroy(config_load_partly("f", text, &override, override.path ? 1 : 0, &errors));
    check_errors(&errors);
    config_errors_deinit(&errors);
    free(text);
    return 0;
}
