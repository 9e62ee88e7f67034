/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/pull/pull.h"

#include "runtime/memory.h"
#include "tests/tools/pull_rig.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(pull, .init = rig_init, .fini = rig_fini, .timeout = 60);

/* Nothing but the one file, and it is the right one. */
static void expect_placed(enum ash_status status)
{
    cr_assert_eq(status, ASH_OK, "%s", ash_error());
    cr_assert_str_eq(rig_got.sha256, rig_sha256);
    cr_assert_eq(rig_got.size_bytes, rig_size_bytes);
    cr_assert_eq(access(rig_got.path, R_OK), 0);
    cr_assert_eq(rig_count(), 1u, "something was left behind");
}

static void expect_refused(enum ash_status status, enum ash_status expect, const char *says)
{
    cr_assert_eq(status, expect, "%s: %s", ash_status_name(status), ash_error());
    cr_assert(strstr(ash_error(), says), "%s", ash_error());
    cr_assert_not(rig_has("served.gguf"));
}

/* Stops a download; how much had come by then is up to the machine, so it is cut to one number. */
static void stop_at_200000(const char *what)
{
    rig_stop_at = 200000;
    expect_refused(rig_run(what), ASH_ERR_CANCELED, "goes on from here");
    rig_stop_at = 0;
    cr_assert_eq(truncate(rig_path("data/models/served.gguf.part"), 200000), 0);
}

static void pin(const char *url, const char *sha256, uint64_t size_bytes)
{
    rig_registry("\"name\": \"tiny\", \"url\": \"%s\", \"sha256\": \"%s\", \"size_bytes\": %llu",
        url, sha256, (unsigned long long)size_bytes);
}

Test(pull, a_url_is_downloaded_under_its_own_name)
{
    expect_placed(rig_run(rig_url("good", "served.gguf")));
    cr_assert(rig_has("served.gguf"));
    cr_assert_not(rig_got.was_there);
    expect_placed(rig_run(rig_url("good", "served.gguf")));
    cr_assert(rig_got.was_there);
}

Test(pull, a_name_of_the_registry_is_downloaded_and_verified)
{
    pin(rig_url("whole", "served.gguf"), rig_sha256, rig_size_bytes);
    expect_placed(rig_run("TINY"));
    expect_placed(rig_run("tiny"));
    cr_assert(rig_got.was_there);
}

Test(pull, a_damaged_file_of_the_right_name_is_replaced)
{
    pin(rig_url("good", "served.gguf"), rig_sha256, rig_size_bytes);
    expect_placed(rig_run("tiny"));
    cr_assert_eq(truncate(rig_got.path, 1000), 0);
    expect_placed(rig_run("tiny"));
    cr_assert_not(rig_got.was_there);
}

Test(pull, a_connection_that_breaks_is_gone_on_with)
{
    expect_placed(rig_run(rig_url("cut", "served.gguf")));
    cr_assert(strstr(rig_requests(), "bytes=300000-"), "%s", rig_requests());
    cr_assert(strstr(rig_requests(), "bytes=900000-"), "%s", rig_requests());
}

Test(pull, a_stopped_download_is_gone_on_with_by_the_next)
{
    stop_at_200000(rig_url("good", "served.gguf"));
    expect_placed(rig_run(rig_url("good", "served.gguf")));
    cr_assert(strstr(rig_requests(), "bytes=200000- \""),
        "no range, or none under the condition of an ETag: %s", rig_requests());
}

Test(pull, what_changed_on_the_server_is_fetched_from_the_start)
{
    rig_write("other.gguf", "no model, but another file", 26);
    stop_at_200000(rig_url("good", "served.gguf"));
    cr_assert_eq(rename(rig_path("other.gguf"), rig_path("served.gguf")), 0);
    expect_refused(rig_run(rig_url("good", "served.gguf")), ASH_ERR_FORMAT, "served.gguf");
    cr_assert_eq(rig_count(), 0u, "the mixture was kept");
}

Test(pull, a_wrong_beginning_is_found_out_by_the_checksum_and_fetched_again)
{
    char junk[5000] = "junk";
    pin(rig_url("good", "served.gguf"), rig_sha256, rig_size_bytes);
    rig_stop_at = 1;
    cr_assert_eq(rig_run("tiny"), ASH_ERR_CANCELED);
    rig_stop_at = 0;
    rig_write("data/models/served.gguf.part", junk, sizeof junk);
    expect_placed(rig_run("tiny"));
}

Test(pull, a_file_url_is_copied_from_its_start)
{
    char url[256], junk[5000] = "junk";
    snprintf(url, sizeof url, "file://%s", rig_path("served.gguf"));
    pin(url, rig_sha256, rig_size_bytes);
    rig_stop_at = 1;
    cr_assert_eq(rig_run("tiny"), ASH_ERR_CANCELED);
    rig_stop_at = 0;
    rig_write("data/models/served.gguf.part", junk, sizeof junk);
    expect_placed(rig_run("tiny"));
}

Test(pull, another_range_than_asked_for_is_not_mixed_in)
{
    pin(rig_url("shift", "served.gguf"), rig_sha256, rig_size_bytes);
    stop_at_200000("tiny");
    expect_refused(rig_run("tiny"), ASH_ERR_NETWORK, "another range");
    cr_assert(rig_has("served.gguf.part"), "what there was is lost");
}

Test(pull, a_server_without_ranges_is_asked_for_all_of_it)
{
    pin(rig_url("whole", "served.gguf"), rig_sha256, rig_size_bytes);
    stop_at_200000("tiny");
    expect_placed(rig_run("tiny"));
}

Test(pull, the_wrong_content_is_refused_and_removed)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    pin(rig_url("good", "served.gguf"), zeros, rig_size_bytes);
    expect_refused(rig_run("tiny"), ASH_ERR_CHECKSUM, zeros);
    cr_assert_eq(rig_count(), 0u);
}

Test(pull, the_wrong_size_is_refused_before_it_travels)
{
    pin(rig_url("good", "served.gguf"), rig_sha256, rig_size_bytes + 1);
    expect_refused(rig_run("tiny"), ASH_ERR_CHECKSUM, "the server's file has");
    cr_assert_eq(rig_count(), 0u);
}

Test(pull, what_is_no_model_is_refused_and_removed)
{
    rig_write("page.gguf", "<!DOCTYPE html> please log in", 29);
    expect_refused(rig_run(rig_url("good", "page.gguf")), ASH_ERR_FORMAT, "web page");
    cr_assert_eq(rig_count(), 0u);
}

Test(pull, what_the_server_refuses_is_reported)
{
    expect_refused(rig_run(rig_url("good", "none.gguf")), ASH_ERR_NOT_FOUND, "404");
    expect_refused(rig_run(rig_url("loop", "served.gguf")), ASH_ERR_NETWORK, "redirects");
    expect_refused(rig_run(rig_url("local", "served.gguf")), ASH_ERR_ARGUMENT, "file");
    expect_refused(rig_run("http://127.0.0.1:1/served.gguf"), ASH_ERR_NETWORK, "onnect");
}

static const struct {
    const char *what, *says;
    enum ash_status expect;
} refused[] = {
    { "ftp://a.example/x.gguf", "https://", ASH_ERR_ARGUMENT },
    { "javascript://x.gguf", "https://", ASH_ERR_ARGUMENT },
    { "https://a.example/", "name of a model file", ASH_ERR_ARGUMENT },
    { "https://a.example/x.zip", ".gguf", ASH_ERR_ARGUMENT },
    { "https://a.example/.gguf", "name of a model file", ASH_ERR_ARGUMENT },
    { "https://a.example/.x.gguf", "name of a model file", ASH_ERR_ARGUMENT },
    { "https://a.example/-x.gguf", "name of a model file", ASH_ERR_ARGUMENT },
    { "https://a.example/x\n.gguf", "name of a model file", ASH_ERR_ARGUMENT },
    { "../x", "no known model", ASH_ERR_NOT_FOUND },
    { "smolml2", "did you mean \"smollm2\"", ASH_ERR_NOT_FOUND },
    { "", "no known model", ASH_ERR_NOT_FOUND },
};

Test(pull, hostile_and_mistyped_names_are_refused)
{
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        expect_refused(rig_run(refused[i].what), refused[i].expect, refused[i].says);
    rig_pull.sha256 = "0123";
    expect_refused(rig_run(rig_path("served.gguf")), ASH_ERR_ARGUMENT, "64 digits");
    rig_pull.sha256 = NULL;
    rig_pull.file = "../evil.gguf";
    expect_refused(rig_run(rig_path("served.gguf")), ASH_ERR_ARGUMENT, "evil");
}

Test(pull, a_file_is_copied)
{
    expect_placed(rig_run(rig_path("served.gguf")));
    expect_placed(rig_run(rig_path("served.gguf")));
    cr_assert_eq(rig_run(rig_got.path), ASH_ERR_ARGUMENT);
    rig_pull.sha256 = "0000000000000000000000000000000000000000000000000000000000000000";
    cr_assert_eq(rig_run(rig_path("served.gguf")), ASH_ERR_CHECKSUM);
    cr_assert(rig_has("served.gguf"), "the good copy went with the bad one");
}

Test(pull, a_stopped_copy_leaves_nothing)
{
    rig_stop_at = 1;
    expect_refused(rig_run(rig_path("served.gguf")), ASH_ERR_CANCELED, "stopped");
    cr_assert_eq(rig_count(), 0u);
}

Test(pull, a_directory_that_cannot_be_written_is_named)
{
    rig_write("file", "", 0);
    rig_pull.models_dir = rig_path("file/models");
    expect_refused(rig_run(rig_path("served.gguf")), ASH_ERR_IO, "models_dir");
}

/* A file size limit stands in for a full disk: both fail a write in the middle. */
Test(pull, a_full_disk_keeps_what_there_is_and_goes_on_when_there_is_room)
{
    struct rlimit limit;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    rig_url("good", "served.gguf"); /* the server is not limited */
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 400000, limit.rlim_max });
    expect_refused(rig_run(rig_path("served.gguf")), ASH_ERR_IO, "the disk is full");
    cr_assert_eq(rig_count(), 0u, "half a copy is of no use");
    expect_refused(rig_run(rig_url("good", "served.gguf")), ASH_ERR_IO, "the disk is full");
    cr_assert(rig_has("served.gguf.part"));
    setrlimit(RLIMIT_FSIZE, &limit);
    expect_placed(rig_run(rig_url("good", "served.gguf")));
    cr_assert(strstr(rig_requests(), "bytes="), "%s", rig_requests());
}

Test(pull, two_pulls_of_one_file_wait_for_each_other)
{
    const char *url = rig_url("cut", "served.gguf"); /* slow: it takes four requests */
    pid_t other[3];
    for (int i = 0; i < 3; i++) {
        other[i] = fork();
        if (other[i] == 0)
            _exit(rig_run(url) == ASH_OK ? 0 : 1);
    }
    expect_placed(rig_run(url));
    for (int i = 0; i < 3; i++) {
        int state = -1;
        waitpid(other[i], &state, 0);
        cr_assert_eq(state, 0);
    }
    expect_placed(rig_run(url));
    const char *requests = rig_requests();
    size_t lines = 0;
    for (; *requests; requests++)
        lines += *requests == '\n';
    cr_assert_eq(lines, 4u, "it was fetched more than once: %s", rig_requests());
}

Test(pull, every_failed_allocation_is_survived)
{
    enum ash_status status = ASH_ERR_NO_MEMORY;
    const char *path = rig_path("served.gguf");
    char copy[256];
    snprintf(copy, sizeof copy, "%s", path);
    (void)rig_run("none"); /* the registry is loaded before the counting */
    for (int64_t nth = 0; status != ASH_OK; nth++) {
        ash_memory_fail_from(nth);
        status = rig_run(copy);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || status == ASH_ERR_NO_MEMORY, "%s", ash_error());
        cr_assert_lt(nth, 100);
    }
    expect_placed(status);
}
