/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tools/pull_rig.h"

#include "models/gguf_writer.h"
#include "runtime/memory.h"
#include "tools/pull/pull_internal.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char rig_folder[64];
struct ash_pull rig_pull;
struct ash_pull_result rig_got;
uint64_t rig_stop_at;
char rig_sha256[65];
uint64_t rig_size_bytes;

static struct ash_registry *registry;
static pid_t server;
static int port;

const char *rig_path(const char *name)
{
    static char paths[4][256];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", rig_folder, name);
    return path;
}

static bool on_progress(void *context, enum ash_pull_phase phase, uint64_t done, uint64_t total)
{
    (void)context, (void)total;
    return !(rig_stop_at && done >= rig_stop_at && phase <= ASH_PULL_COPYING);
}

static void write_model(void)
{
    enum { COLUMNS = 512, ROWS = 500 };
    float row[COLUMNS];
    struct ash_gguf_writer *writer = NULL;
    cr_assert_eq(ash_gguf_writer_create(rig_path("served.gguf"), &writer), ASH_OK);
    ash_gguf_write_string(writer, "general.architecture", "llama");
    ash_gguf_write_tensor(writer, "w", ASH_F32, 2, (int64_t[]){ ROWS, COLUMNS });
    for (int i = 0; i < ROWS; i++) {
        for (int k = 0; k < COLUMNS; k++)
            row[k] = (float)(i * COLUMNS + k);
        ash_gguf_write_data(writer, row, sizeof row);
    }
    cr_assert_eq(ash_gguf_writer_finish(writer), ASH_OK);
    ash_gguf_writer_destroy(writer);
}

void rig_init(void)
{
    static char models_dir[128];
    snprintf(rig_folder, sizeof rig_folder, "/tmp/ashlar-pull-XXXXXX");
    cr_assert(mkdtemp(rig_folder));
    snprintf(models_dir, sizeof models_dir, "%s/data/models", rig_folder);
    rig_pull = (struct ash_pull){ .models_dir = models_dir, .progress = on_progress };
    write_model();
    rig_pull.registry = NULL;
    cr_assert_eq(rig_run(rig_path("served.gguf")), ASH_OK, "%s", ash_error());
    memcpy(rig_sha256, rig_got.sha256, sizeof rig_sha256);
    rig_size_bytes = rig_got.size_bytes;
    ash_pull_remove_tree(models_dir);
    ash_registry_destroy(registry);
    registry = NULL;
}

void rig_fini(void)
{
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    ash_free(rig_got.path);
    ash_registry_destroy(registry);
    ash_pull_remove_tree(rig_folder);
}

static void start_server(void)
{
    int pipe_fd[2];
    char text[16] = "", script[512];
    snprintf(script, sizeof script, "%s/tools/pull_server.py", getenv("ASHLAR_TEST_DATA"));
    cr_assert_eq(pipe(pipe_fd), 0);
    server = fork();
    if (server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* whatever becomes of the test */
        dup2(pipe_fd[1], STDOUT_FILENO);
        execlp("python3", "python3", script, rig_folder, (char *)NULL);
        _exit(127);
    }
    close(pipe_fd[1]);
    cr_assert_gt(read(pipe_fd[0], text, sizeof text - 1), 0, "the server did not start");
    close(pipe_fd[0]);
    port = atoi(text);
}

const char *rig_url(const char *how, const char *name)
{
    static char urls[2][256];
    static unsigned turn;
    char *url = urls[turn++ % 2];
    if (!server)
        start_server();
    snprintf(url, sizeof urls[0], "http://127.0.0.1:%d/%s/%s", port, how, name);
    return url;
}

enum ash_status rig_run(const char *what)
{
    if (!registry)
        cr_assert_eq(
            ash_registry_load(rig_path("models.json"), &registry), ASH_OK, "%s", ash_error());
    struct ash_pull_result result;
    rig_pull.registry = registry;
    enum ash_status status = ash_pull(&rig_pull, what, &result);
    if (status == ASH_OK) {
        ash_free(rig_got.path);
        rig_got = result;
    }
    return status;
}

void rig_registry(const char *format, ...)
{
    va_list list;
    FILE *file = fopen(rig_path("models.json"), "w");
    cr_assert(file);
    fputs("{\"models\": [{\"description\": \"\", \"licence\": \"\", \"file\": \"served.gguf\", ",
        file);
    va_start(list, format);
    vfprintf(file, format, list);
    va_end(list);
    fputs("}]}", file);
    fclose(file);
}

void rig_write(const char *name, const void *bytes, size_t size_bytes)
{
    FILE *file = fopen(rig_path(name), "wb");
    cr_assert(file && fwrite(bytes, 1, size_bytes, file) == size_bytes && fclose(file) == 0);
}

static size_t count_names(const char *wanted)
{
    size_t count = 0;
    DIR *folder = opendir(rig_pull.models_dir);
    for (struct dirent *item; folder && (item = readdir(folder));)
        if (wanted ? strcmp(item->d_name, wanted) == 0
                   : strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            count++;
    if (folder)
        closedir(folder);
    return count;
}

size_t rig_count(void)
{
    return count_names(NULL);
}

int rig_has(const char *name)
{
    return count_names(name) == 1;
}

const char *rig_requests(void)
{
    static char text[8192];
    FILE *file = fopen(rig_path("requests"), "r");
    text[file ? fread(text, 1, sizeof text - 1, file) : 0] = '\0';
    if (file)
        fclose(file);
    return text;
}
