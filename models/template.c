/* SPDX-License-Identifier: Apache-2.0 */
#include "models/template.h"

#include "models/template_internal.h"
#include "runtime/memory.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

const char ash_template_chatml[] = //
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/* ---- Parse ------------------------------------------------------------------------------------ */

enum {
    TREE_LIMIT_BYTES = 512 << 20, /* the largest source, all of it operators: some 300 bytes each */
};

static enum ash_status parse(struct ash_template *template, const char *source, size_t source_bytes)
{
    struct jinja_parser parser = { .template = template };
    template->arena.limit_bytes = TREE_LIMIT_BYTES;
    template->locale = newlocale(LC_ALL_MASK, "C.UTF-8", (locale_t)0);
    if (!template->locale) /* letters outside ASCII then have no case */
        template->locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!template->locale)
        return ash_fail_memory(sizeof *template, "a chat template's locale");
    ASH_TRY(ash_jinja_lex(&template->arena, source, source_bytes, &parser.token));
    return ash_jinja_parse(&parser, &template->body);
}

enum ash_status ash_template_parse(
    const char *source, size_t source_bytes, struct ash_template **out)
{
    if (source_bytes > ASH_TEMPLATE_MAX_BYTES)
        return ash_fail(ASH_ERR_LIMIT, "the chat template has %zu bytes; at most %d are accepted",
            source_bytes, ASH_TEMPLATE_MAX_BYTES);
    struct ash_template *template = ash_alloc_zero(sizeof *template);
    if (!template)
        return ash_fail_memory(sizeof *template, "a chat template");
    enum ash_status status = parse(template, source, source_bytes);
    if (status != ASH_OK) {
        ash_template_destroy(template);
        return status == ASH_ERR_NO_MEMORY ? status : ash_fail_in(status, "chat template");
    }
    *out = template;
    return ASH_OK;
}

void ash_template_destroy(struct ash_template *template)
{
    if (!template)
        return;
    if (template->locale)
        freelocale(template->locale);
    ash_jinja_arena_finish(&template->arena);
    ash_free(template);
}

/* ---- What the template sees -------------------------------------------------------------------- */

/*
 * Roles often stand inside a special token ('<|' + role + '|>'), so these are trusted. Any other is
 * the text of whoever sent the request.
 */
static bool is_well_known(const char *role)
{
    static const char *const roles[] = { "system", "user", "assistant", "tool", "function",
        "developer", "ipython", "model", "tool_call", "tool_response", "observation" };
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (!strcmp(role, roles[i]))
            return true;
    return false;
}

static enum ash_status put_text(struct jinja_run *run, struct jinja_value dict, const char *name,
    const char *text, size_t length, bool trusted)
{
    struct jinja_value key, value;
    ASH_TRY(ash_jinja_string(&run->arena, name, strlen(name), false, &key));
    ASH_TRY(ash_jinja_string(&run->arena, text, length, trusted, &value));
    return ash_jinja_put_new(&run->arena, dict, key, value);
}

/* role, content, then the fields, but for a role or content that were given already. */
static enum ash_status message_value(
    struct jinja_run *run, const struct ash_chat_message *message, struct jinja_value *out)
{
    struct jinja_value fields;
    ASH_TRY(ash_jinja_dict(&run->arena, JINJA_DICT, out));
    if (message->role)
        ASH_TRY(put_text(
            run, *out, "role", message->role, strlen(message->role), is_well_known(message->role)));
    if (message->content)
        ASH_TRY(put_text(run, *out, "content", message->content, message->content_bytes, false));
    if (!message->fields)
        return ASH_OK;
    ASH_TRY(ash_jinja_from_json(run, message->fields, &fields));
    if (fields.kind != JINJA_DICT)
        return ash_fail(ASH_ERR_ARGUMENT, "a message's fields must be a JSON object");
    for (size_t i = 0; i < fields.dict->count; i++) {
        struct jinja_entry entry = fields.dict->entry[i];
        if (!ash_jinja_lookup_name(*out, *entry.key.text))
            ASH_TRY(ash_jinja_put_new(&run->arena, *out, entry.key, entry.value));
    }
    return ASH_OK;
}

static enum ash_status bind(struct jinja_run *run, const char *name, struct jinja_value value)
{
    int symbol = ash_jinja_symbol_of(run->template, name);
    return symbol < 0 ? ASH_OK : ash_jinja_bind(run, run->scope, symbol, value);
}

static enum ash_status bind_token(struct jinja_run *run, const char *name, const char *token)
{
    struct jinja_value value;
    if (!token)
        return ASH_OK;
    ASH_TRY(ash_jinja_string(&run->arena, token, strlen(token), true, &value));
    return bind(run, name, value);
}

static enum ash_status bind_variables(struct jinja_run *run, const struct json_t *variables)
{
    struct jinja_value values;
    if (!variables)
        return ASH_OK;
    ASH_TRY(ash_jinja_from_json(run, variables, &values));
    if (values.kind != JINJA_DICT)
        return ash_fail(ASH_ERR_ARGUMENT, "a template's variables must be a JSON object");
    const struct ash_template *template = run->template;
    for (size_t s = 0; s < template->symbol_count; s++) {
        struct jinja_value *found = ash_jinja_lookup_name(values, template->symbol[s]);
        ASH_TRY(ash_jinja_spend(run, 1 + values.dict->count / 16));
        if (found)
            ASH_TRY(ash_jinja_bind(run, run->scope, (int)s, *found));
    }
    return ASH_OK;
}

/* Transformers passes tools and documents always, as None where there are none. */
static enum ash_status bind_all(
    struct jinja_run *run, const struct ash_chat_message *messages, size_t count)
{
    const struct ash_template_options *options = run->options;
    struct jinja_value list, tools = ash_jinja_none();
    ASH_TRY(ash_jinja_list(&run->arena, JINJA_LIST, &list));
    for (size_t i = 0; i < count; i++) {
        struct jinja_value message;
        ASH_TRY(message_value(run, &messages[i], &message));
        ASH_TRY(ash_jinja_push(&run->arena, list, message));
    }
    if (options->tools)
        ASH_TRY(ash_jinja_from_json(run, options->tools, &tools));
    ASH_TRY(bind(run, "messages", list));
    ASH_TRY(bind(run, "tools", tools));
    ASH_TRY(bind(run, "documents", ash_jinja_none()));
    ASH_TRY(bind(run, "add_generation_prompt", ash_jinja_bool(options->add_generation_prompt)));
    ASH_TRY(bind_token(run, "bos_token", options->bos_token));
    ASH_TRY(bind_token(run, "eos_token", options->eos_token));
    return bind_variables(run, options->variables);
}

/* ---- Render ----------------------------------------------------------------------------------- */

/* Room and work for any real template, and as much again for what it is given. */
enum {
    RUN_BYTES = 64 << 20,
    RUN_BYTES_OF_INPUT = 64, /* a byte, its mark, and copies of them */
    RUN_STEPS = 4 << 20,
    RUN_STEPS_OF_INPUT = 4,
};

static size_t input_bytes(const struct ash_chat_message *messages, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += messages[i].content_bytes + 1000;
    return total;
}

/* Alternating runs of equal marks. */
static enum ash_status make_segments(struct jinja_text text, struct ash_prompt *prompt)
{
    const unsigned char *marks = ash_jinja_marks(text);
    size_t count = text.length > 0, at = 0;
    for (size_t i = 1; i < text.length; i++)
        count += marks[i] != marks[i - 1];
    prompt->segment = ash_alloc_array(count, sizeof *prompt->segment);
    if (!prompt->segment)
        return ash_fail_memory(count * sizeof *prompt->segment, "a prompt's segments");
    for (size_t i = 0; i < text.length; i++) {
        if (i > 0 && marks[i] == marks[i - 1])
            continue;
        if (at > 0)
            prompt->segment[at - 1].length_bytes = i - prompt->segment[at - 1].start_bytes;
        prompt->segment[at++] = (struct ash_prompt_segment){ i, text.length - i, marks[i] };
    }
    prompt->segment_count = at;
    return ASH_OK;
}

static enum ash_status make_prompt(struct jinja_text text, struct ash_prompt *out)
{
    struct ash_prompt prompt = { .length_bytes = text.length };
    prompt.text = ash_alloc(text.length + 1);
    if (!prompt.text)
        return ash_fail_memory(text.length + 1, "a prompt");
    memcpy(prompt.text, ash_jinja_bytes(text), text.length);
    prompt.text[text.length] = '\0';
    enum ash_status status = make_segments(text, &prompt);
    if (status != ASH_OK) {
        ash_free(prompt.text);
        return status;
    }
    *out = prompt;
    return ASH_OK;
}

static enum ash_status render(struct jinja_run *run, const struct ash_chat_message *messages,
    size_t message_count, struct ash_prompt *out)
{
    struct jinja_text text = { 0 };
    run->out = &text;
    ASH_TRY(ash_jinja_scope(run, NULL, &run->scope));
    ASH_TRY(bind_all(run, messages, message_count));
    ASH_TRY(ash_jinja_exec_list(run, run->template->body));
    assert(run->depth == 0);
    return make_prompt(text, out);
}

enum ash_status ash_template_render(const struct ash_template *template,
    const struct ash_chat_message *messages, size_t message_count,
    const struct ash_template_options *options, struct ash_prompt *out)
{
    size_t input = input_bytes(messages, message_count);
    struct jinja_run run = {
        .template = template,
        .options = options,
        .arena.limit_bytes = RUN_BYTES + RUN_BYTES_OF_INPUT * input,
        .steps = (int64_t)(RUN_STEPS + RUN_STEPS_OF_INPUT * input),
    };
    locale_t old = uselocale(template->locale);
    enum ash_status status = render(&run, messages, message_count, out);
    uselocale(old);
    ash_jinja_arena_finish(&run.arena);
    return status;
}

void ash_prompt_finish(struct ash_prompt *prompt)
{
    ash_free(prompt->text);
    ash_free(prompt->segment);
    *prompt = (struct ash_prompt){ 0 };
}
