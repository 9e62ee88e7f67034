/* SPDX-License-Identifier: Apache-2.0 */
/* Templates that are wrong, hostile or short of memory, and many threads at one. */
#include "models/template.h"

#include "runtime/memory.h"
#include "tests/models/template.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* ---- Bad templates ---- */

static char *repeated(const char *before, const char *part, int times, const char *after)
{
    size_t part_bytes = strlen(part), length = strlen(before);
    char *text = malloc(length + part_bytes * (size_t)times + strlen(after) + 1);
    strcpy(text, before);
    for (int i = 0; i < times; i++, length += part_bytes)
        memcpy(text + length, part, part_bytes);
    strcpy(text + length, after);
    return text;
}

static enum ash_status try(const char *source)
{
    struct ash_template *template = NULL;
    struct ash_prompt prompt;
    const struct ash_template_options options = { .now = &template_now };
    enum ash_status status = ash_template_parse(source, strlen(source), &template);
    if (status == ASH_OK)
        status = ash_template_render(template, NULL, 0, &options, &prompt);
    if (status == ASH_OK)
        ash_prompt_finish(&prompt);
    ash_template_destroy(template);
    return status;
}

Test(template, a_hostile_template_ends_at_a_limit)
{
    char *sources[] = {
        repeated("{{ ", "(", 5000, ""),
        repeated("{{ ", "[", 99, ""),
        repeated("{{ ", "-", 5000, "1 }}"),
        repeated("{{ ", "not ", 5000, "1 }}"),
        repeated("", "{% if 1 %}", 5000, ""),
        repeated("{{ 1", " + 1", 5000, " }}"),
        repeated("{{ x", ".a", 5000, " }}"),
        repeated("{{ 1", " if 1 else 1", 5000, " }}"),
        repeated("{{ 'a'", "|upper", 5000, " }}"),
        repeated("", "{% for x in range(100000) %}", 4,
            "{% endfor %}{% endfor %}{% endfor %}"
            "{% endfor %}"),
        repeated("{% set x = 'ab' %}", "{% set x = x + x %}", 60, ""),
        repeated("{% set x = [1, 2] %}", "{% set x = x + x %}", 60, ""),
        repeated("{% set x = [] %}", "{% set x = [x] %}", 2000, "{{ x }}"),
        repeated("{% set x = [] %}", "{% set x = [x, x] %}", 90, "{{ x == x ~ 1 }}{{ x }}"),
        repeated("{{ 'x' * ", "9", 12, " }}"),
        repeated("{{ [1] * ", "9", 12, " }}"),
        repeated("{{ 'x' | indent(", "9", 12, ") }}"),
        repeated("{{ 'x' | center(", "9", 12, ") }}"),
        repeated("{{ [1] | batch(", "9", 12, ", 1) }}"),
        repeated("{{ '%", "9", 12, "d' % 1 }}"),
        repeated("{{ '%.", "9", 12, "f' % 1 }}"),
        repeated("{{ 9 ", "** 9", 12, " }}"),
        repeated("{{ 1", "0", 30, " }}"),
        repeated("{{ range(", "9", 12, ") }}"),
        repeated("{% macro m() %}", "{{ m() }}", 2, "{% endmacro %}{{ m() }}"),
        repeated("{% set n = namespace() %}{% set n.n = n %}{{ n }}", "", 0, ""),
        repeated("{% set s = 'a' * 1000000 %}{% for i in range(99999) %}", "{{ s.count('b') }}", 1,
            "{% endfor %}"),
        repeated("{% set s = 'a' * 300000 %}", "{{ s.strip(s ~ 'b') }}", 50, ""),
        repeated("{{ strftime_now('%", "9", 9, "d') }}"),
    };
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        enum ash_status status = try(sources[i]);
        cr_expect(
            status == ASH_ERR_LIMIT || status == ASH_ERR_FORMAT || status == ASH_ERR_UNSUPPORTED,
            "%.60s... gives %s", sources[i], ash_status_name(status));
        free(sources[i]);
    }
    char *huge = repeated("", "x", ASH_TEMPLATE_MAX_BYTES + 1, "");
    cr_expect_eq(try(huge), ASH_ERR_LIMIT);
    free(huge);
}

Test(template, an_error_says_what_and_where)
{
    const struct {
        const char *source;
        enum ash_status status;
        const char *message;
    } cases[] = {
        { "a\n{% if %}", ASH_ERR_FORMAT,
            "chat template: line 2: expected an expression, found %}" },
        { "\n\n{{ x.y }}", ASH_ERR_FORMAT, "chat template, line 3: 'x' is undefined" },
        { "{{ 'a' | pprint }}", ASH_ERR_UNSUPPORTED,
            "chat template, line 1: the filter 'pprint' is not supported" },
        { "{% include 'x' %}", ASH_ERR_UNSUPPORTED,
            "chat template: line 1: 'include' is not supported in chat templates" },
        { "{% if 1 %}\n{% endfor %}", ASH_ERR_FORMAT,
            "chat template: line 2: expected a statement, elif or else or endif, "
            "found 'endfor'" },
        { "{{ raise_exception('no system role') }}", ASH_ERR_ARGUMENT,
            "the model's chat template refuses the conversation: no system role" },
        { "{{ range(9999999) }}", ASH_ERR_LIMIT,
            "chat template, line 1: a range has more than 100000 items" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_expect_eq(try(cases[i].source), cases[i].status, "%s", cases[i].source);
        cr_expect_str_eq(ash_error(), cases[i].message, "%s: %s", cases[i].source, ash_error());
    }
}

Test(template, parse_and_render_survive_every_failed_allocation)
{
    const char *source = "{% macro m(x) %}{{ x | tojson }}{% endmacro %}{% for m in messages %}"
                         "{{ '<' + m.role + '>' + m.content + m.name }}{% endfor %}"
                         "{% set s = 'x' * 40000 %}{{ m(messages) }}{{ s }}";
    json_t *fields = json_pack("{s:s}", "name", "Bo");
    const struct ash_chat_message messages[] = { { "user", "Hi", 2, fields } };
    const struct ash_template_options options = { .add_generation_prompt = true };
    struct ash_template *template = NULL;
    int64_t nth = 0;
    for (;; nth++) {
        struct ash_prompt prompt = { 0 };
        ash_memory_fail_from(nth);
        enum ash_status status = ash_template_parse(source, strlen(source), &template);
        if (status == ASH_OK)
            status = ash_template_render(template, messages, 1, &options, &prompt);
        ash_memory_fail_from(-1);
        ash_prompt_finish(&prompt);
        ash_template_destroy(template);
        template = NULL;
        if (status == ASH_OK)
            break;
        cr_assert_eq(status, ASH_ERR_NO_MEMORY, "%s", ash_error());
    }
    cr_assert_gt(nth, 6);
    json_decref(fields);
}

/* ---- Threads ---- */

static void *render_often(void *argument)
{
    const struct ash_template *template = argument;
    const struct ash_chat_message messages[] = { { "user", "Hi", 2, NULL } };
    const struct ash_template_options options = { .add_generation_prompt = true };
    for (int i = 0; i < 200; i++) {
        struct ash_prompt prompt;
        if (ash_template_render(template, messages, 1, &options, &prompt) != ASH_OK)
            return argument;
        bool right =
            !strcmp(prompt.text, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
        ash_prompt_finish(&prompt);
        if (!right)
            return argument;
    }
    return NULL;
}

Test(template, many_threads_render_one_template)
{
    struct ash_template *template = NULL;
    cr_assert_eq(
        ash_template_parse(ash_template_chatml, strlen(ash_template_chatml), &template), ASH_OK);
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&thread[i], NULL, render_often, template), 0);
    for (int i = 0; i < 4; i++) {
        void *failed = NULL;
        pthread_join(thread[i], &failed);
        cr_expect_null(failed);
    }
    ash_template_destroy(template);
}
