/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question to a model, and its answer as it comes: the library in one page.
 *
 *     cc example.c -o example $(pkg-config --cflags --libs ashlar)
 *     ./example smollm2 "Why is the sky blue?"
 */
#include <ashlar.h>

#include <stdio.h>

static enum ash_status answer(struct ash_session *session, const char *question)
{
    enum ash_status status = ash_session_add(session, "user", question);
    struct ash_piece piece = { .done = false };
    while (status == ASH_OK && !piece.done) {
        status = ash_session_next(session, &piece);
        if (status == ASH_OK)
            fwrite(piece.text, 1, piece.length, stdout);
        fflush(stdout);
    }
    return status;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: example MODEL QUESTION\n");
        return 2;
    }
    struct ash_runtime *runtime = NULL;
    struct ash_model *model = NULL;
    struct ash_session *session = NULL;
    struct ash_session_options options = ash_session_defaults();
    options.max_tokens = 64;

    enum ash_status status = ash_runtime_create(NULL, 0, &runtime);
    if (status == ASH_OK)
        status = ash_model_load(runtime, argv[1], NULL, &model);
    if (status == ASH_OK)
        status = ash_session_create(model, &options, &session);
    if (status == ASH_OK)
        status = answer(session, argv[2]);
    if (status != ASH_OK)
        fprintf(stderr, "example: %s: %s\n", ash_status_name(status), ash_error());
    else
        putchar('\n');

    ash_session_destroy(session);
    ash_model_destroy(model);
    ash_runtime_destroy(runtime);
    return status == ASH_OK ? 0 : 1;
}
