/* SPDX-License-Identifier: Apache-2.0 */
#include "drivers/cpu/cpu.h"
#include "kernels/matmul/matmul.h"
#include "runtime/config.h"
#include "runtime/cpu.h"
#include "runtime/memory.h"
#include "tests/support/ranking_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/ashlar-ranking-XXXXXX";
static struct ranking_key key = { "A processor", "avx2", "b1" };
static struct ash_ranking listed;

static void open_folder(void)
{
    cr_assert(mkdtemp(folder));
    ranking_list(&listed, ash_cpu_features());
    if (listed.count == 0)
        cr_skip_test("this processor leaves no choice");
}

static void close_folder(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(ranking, .init = open_folder, .fini = close_folder);

static struct ash_ranking *create(const char *processor, const char *directory)
{
    struct ash_ranking *ranking = NULL;
    cr_assert_eq(ash_ranking_create(processor, directory, &ranking), ASH_OK, "%s", ash_error());
    return ranking;
}

static struct ash_ranking reversed(void)
{
    struct ash_ranking ranking = listed;
    ranking_reverse(&ranking, true);
    return ranking;
}

static bool is_same_choice(const struct ash_ranked *a, const struct ash_ranked *b)
{
    return a->op == b->op && a->type == b->type;
}

Test(ranking, is_measured_once_and_then_read)
{
    struct ash_ranking *first = create("A processor", folder);
    cr_assert(strstr(first->how, "measured, kept in"), "%s", first->how);
    cr_assert_eq(first->count, listed.count);
    for (int i = 0; i < first->count; i++) {
        const struct ash_ranked *item = &first->item[i];
        cr_assert(item->decode_ns > 0 && item->prefill_ns > 0);
        cr_assert(i == 0 || !is_same_choice(item - 1, item) ||
                  item[-1].decode_ns < item->decode_ns / 8 * 10);
    }
    struct ash_ranking *second = create("A processor", folder);
    cr_assert(strstr(second->how, "read from"), "%s", second->how);
    cr_assert_arr_eq(second->item, first->item, sizeof first->item);
    ash_free(first);
    ash_free(second);
}

Test(ranking, another_machine_has_its_own)
{
    ash_free(create("A processor", folder));
    struct ash_ranking *other = create("Another processor", folder);
    cr_assert(strstr(other->how, "measured, kept in"), "%s", other->how);
    ash_free(other);
}

Test(ranking, where_it_cannot_be_kept_kernels_are_taken_as_listed)
{
    struct ash_ranking *ranking = create("A processor", "/dev/null/cache");
    cr_assert_eq(ranking->count, 0);
    cr_assert(strstr(ranking->how, "as listed: cannot write /dev/null/cache/"), "%s", ranking->how);
    ash_free(ranking);
}

Test(ranking, what_was_printed_is_read_back)
{
    static char text[RANKING_TEXT_BYTES];
    struct ash_ranking written = reversed(), read = listed;
    size_t length = ranking_print(&written, &key, text);
    cr_assert(ranking_parse(&read, &key, text, length));
    cr_assert_arr_eq(read.item, written.item, sizeof read.item);
}

/* Every text that was cut, or that has another bit somewhere; followed by a 0, as when read. */
Test(ranking, a_damaged_file_is_not_taken)
{
    static char text[RANKING_TEXT_BYTES], broken[RANKING_TEXT_BYTES];
    struct ash_ranking written = reversed(), read = listed;
    size_t length = ranking_print(&written, &key, text);
    for (size_t cut = 0; cut < length; cut++) {
        memcpy(broken, text, cut);
        broken[cut] = '\0';
        cr_assert_not(ranking_parse(&read, &key, broken, cut), "cut at %zu", cut);
    }
    memcpy(broken, text, length + 1);
    for (size_t bit = 0; bit < 8 * length; bit++) {
        broken[bit / 8] = (char)(broken[bit / 8] ^ 1 << bit % 8);
        cr_assert_not(ranking_parse(&read, &key, broken, length), "bit %zu", bit);
        broken[bit / 8] = text[bit / 8];
    }
    strcat(broken, "x");
    cr_assert_not(ranking_parse(&read, &key, broken, length + 1));
    cr_assert_arr_eq(read.item, listed.item, sizeof read.item);
}

Test(ranking, another_key_or_other_kernels_are_foreign)
{
    static char text[RANKING_TEXT_BYTES];
    static const struct ranking_key foreign[] = {
        { "B processor", "avx2", "b1" },
        { "A processor", "avx2 avx512", "b1" },
        { "A processor", "avx2", "b2" },
    };
    struct ash_ranking written = reversed(), read = listed;
    size_t length = ranking_print(&written, &key, text);
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        cr_assert_not(ranking_parse(&read, &foreign[i], text, length), "%zu", i);
    read.count--;
    cr_assert_not(ranking_parse(&read, &key, text, length));
    read = listed;
    read.item[0].kernel = read.item[1].kernel;
    cr_assert_not(ranking_parse(&read, &key, text, length));
}

Test(ranking, a_damaged_file_is_made_anew)
{
    ash_free(create("A processor", folder));
    char command[128];
    snprintf(command, sizeof command, "for f in %s/*; do echo x >> $f; done", folder);
    cr_assert_eq(system(command), 0);
    for (int i = 0; i < 2; i++) {
        struct ash_ranking *again = create("A processor", folder);
        cr_assert(strstr(again->how, i ? "read from" : "measured"), "%s", again->how);
        ash_free(again);
    }
}

/* (T, K) by (N, K), the sample's type. */
static struct ash_args matmul(enum ash_type type)
{
    struct ash_args args = { 0 };
    cr_assert_eq(ash_tensor_init(ASH_F32, 2, (int64_t[]){ 8, 256 }, &args.in[0]), ASH_OK);
    cr_assert_eq(ash_tensor_init(type, 2, (int64_t[]){ 48, 256 }, &args.in[1]), ASH_OK);
    cr_assert_eq(ash_op_infer(&ash_op_matmul, &args, &args.out), ASH_OK);
    return args;
}

Test(ranking, the_best_one_that_runs_is_chosen)
{
    struct ash_args args = matmul(listed.item[0].type);
    struct ash_ranking ranking = { .count = 2, .item = { listed.item[1], listed.item[0] } };
    uint64_t all = ash_cpu_features(), without = listed.item[1].kernel->needs;
    cr_assert_eq(ash_ranking_choose(&ranking, &ash_op_matmul, &args, all), listed.item[1].kernel);
    cr_assert_eq(ash_ranking_choose(NULL, &ash_op_matmul, &args, all), listed.item[0].kernel);
    const struct ash_kernel *left =
        ash_ranking_choose(&ranking, &ash_op_matmul, &args, all & ~without);
    cr_assert(!left || (left->needs & without) != without);
}

/* The second kernel of the first type is faster for prompts by `percent`, and slower for answers. */
static const struct ash_kernel *chosen(bool prompts, int percent, const char *use_of_first)
{
    struct ash_args args = matmul(listed.item[0].type);
    struct ash_ranking ranking = { .count = 2, .item = { listed.item[0], listed.item[1] } };
    ranking.item[0].decode_ns = 1000;
    ranking.item[1].decode_ns = 2000;
    ranking.item[0].prefill_ns = 10000;
    ranking.item[1].prefill_ns = 10000 - 100 * percent;
    args.prompts = prompts;
    const struct ash_kernel *kernel =
        ash_ranking_choose(&ranking, &ash_op_matmul, &args, ash_cpu_features());
    cr_expect_str_eq(ash_ranked_use(&ranking, &ranking.item[0]), use_of_first);
    return kernel;
}

Test(ranking, prompts_have_a_kernel_of_their_own_where_that_is_clearly_faster)
{
    cr_expect_eq(chosen(true, 20, "answers"), listed.item[1].kernel);
    cr_expect_eq(chosen(true, 5, "both"), listed.item[0].kernel);
    cr_expect_eq(chosen(false, 20, "answers"), listed.item[0].kernel);
}

/* Weights are held once: a kernel that wants them in another layout is not for prompts only. */
Test(ranking, another_layout_of_weights_is_not_taken_for_prompts)
{
    struct ash_args args = matmul(listed.item[0].type);
    struct ash_kernel other = *listed.item[1].kernel;
    struct ash_ranking ranking = { .count = 2, .item = { listed.item[0], listed.item[1] } };
    ranking.item[0].decode_ns = ranking.item[1].decode_ns = 1000;
    ranking.item[0].prefill_ns = 10000;
    ranking.item[1].prefill_ns = 100;
    ranking.item[1].kernel = &other;
    other.packed_input = 0;
    args.prompts = true;
    cr_expect_eq(ash_ranking_choose(&ranking, &ash_op_matmul, &args, ash_cpu_features()),
        listed.item[0].kernel);
}

static struct ash_device_info processor(void)
{
    struct ash_device_info info;
    int count;
    cr_assert_eq(ash_driver_cpu.probe(NULL, &info, 1, &count), ASH_OK);
    return info;
}

/* The whole way: a ranking in the cache's folder decides what the driver loads. */
static const char *loaded_kernel(const char *kernels)
{
    struct ash_config config;
    const struct ash_device_info info = processor();
    struct ash_device *device;
    struct ash_loaded *loaded;
    struct ash_args args = matmul(listed.item[0].type);
    cr_assert_eq(ash_config_init(&config), ASH_OK);
    cr_assert_eq(
        ash_config_set(&config, ash_setting_find("cache_dir"), folder, ASH_SOURCE_FLAG), ASH_OK);
    cr_assert_eq(
        ash_config_set(&config, ash_setting_find("kernels"), kernels, ASH_SOURCE_FLAG), ASH_OK);
    cr_assert_eq(ash_driver_cpu.open(&info, &config, &device), ASH_OK, "%s", ash_error());
    cr_assert_eq(ash_driver_cpu.load(device, &ash_op_matmul, &args, &loaded), ASH_OK);
    const char *kernel = loaded->kernel;
    ash_driver_cpu.unload(device, loaded);
    ash_driver_cpu.close(device);
    ash_config_finish(&config);
    return kernel;
}

Test(ranking, decides_what_the_driver_loads)
{
    struct ash_ranking ranking = reversed();
    int last = 0;
    while (last + 1 < listed.count && is_same_choice(&listed.item[last + 1], &listed.item[0]))
        last++;
    ranking_leave(&ranking, processor().name, folder);
    cr_expect_str_eq(loaded_kernel("measured"), listed.item[last].kernel->name);
    cr_expect_str_eq(loaded_kernel("listed"), listed.item[0].kernel->name);
}

Test(ranking, without_a_folder_is_as_listed_and_writes_nothing)
{
    struct ash_ranking *ranking;
    cr_assert_eq(chdir(folder), 0);
    cr_assert_eq(ash_ranking_create("A processor", NULL, &ranking), ASH_OK, "%s", ash_error());
    cr_assert_eq(ranking->count, 0);
    cr_expect(strncmp(ranking->how, "as listed", 9) == 0, "%s", ranking->how);
    cr_expect_neq(rmdir("(null)"), 0);
    cr_expect_eq(rmdir(folder), 0, "something was written");
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(mkdir(folder, 0700), 0); /* what the end of the test removes */
    ash_free(ranking);
}

Test(ranking, of_a_processor_without_a_choice_is_not_measured)
{
    ash_cpu_features_limit(ASH_CPU_AVX2);
    struct ash_ranking *ranking = create("A processor", folder);
    cr_expect_eq(ranking->count, 0);
    cr_expect_str_eq(ranking->how, "as listed: there is no choice here");
    cr_expect_eq(rmdir(folder), 0, "something was written");
    cr_assert_eq(mkdir(folder, 0700), 0); /* what the end of the test removes */
    ash_free(ranking);
}

Test(ranking, survives_every_failed_allocation)
{
    enum ash_status status = ASH_ERR_NO_MEMORY;
    for (int64_t n = 0; status != ASH_OK; n++) {
        struct ash_ranking *ranking = NULL;
        ash_memory_fail_from(n);
        status = ash_ranking_create("A processor", folder, &ranking);
        ash_memory_fail_from(-1);
        cr_assert(status == ASH_OK || (status == ASH_ERR_NO_MEMORY && !ranking), "%s", ash_error());
        ash_free(ranking);
    }
}
