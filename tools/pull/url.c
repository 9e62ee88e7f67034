/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Downloads with libcurl into `part`, going on where an earlier attempt ended: if the checksum is known
 * (a wrong beginning would be found out), or if the server still has the version whose ETag was noted.
 */
#include "runtime/memory.h"
#include "tools/pull/pull_internal.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    ATTEMPTS = 3,
    MAX_TAG_BYTES = 256,
    STALL_SECONDS = 60,
    CONNECT_SECONDS = 30,
    RETRY_MS = 200
};

struct transfer {
    struct ash_pull_job *job;
    CURL *curl;
    int fd;
    uint64_t asked_from;    /* the range asked for */
    uint64_t have;          /* bytes in `part` */
    uint64_t total;         /* 0 = not known */
    bool begun;             /* the answer's headers were judged */
    enum ash_status status; /* what a callback found wrong */
    char text[CURL_ERROR_SIZE];
};

static void write_tag(const struct transfer *transfer)
{
    struct curl_header *header;
    FILE *file = NULL;
    unlink(transfer->job->tag);
    if (curl_easy_header(transfer->curl, "ETag", 0, CURLH_HEADER, -1, &header) != CURLHE_OK ||
        strncmp(header->value, "W/", 2) == 0 || strlen(header->value) >= MAX_TAG_BYTES)
        return; /* a weak tag does not promise the same bytes */
    if ((file = fopen(transfer->job->tag, "we"))) {
        fputs(header->value, file);
        fclose(file);
    }
}

/* "" when there is none. */
static void read_tag(const struct ash_pull_job *job, char tag[MAX_TAG_BYTES])
{
    FILE *file = fopen(job->tag, "re");
    tag[0] = '\0';
    if (!file)
        return;
    if (!fgets(tag, MAX_TAG_BYTES, file) || tag[strcspn(tag, "\r\n")] != '\0')
        tag[0] = '\0';
    fclose(file);
}

/* Whether a partial answer goes on where we asked it to. */
static bool continues(const struct transfer *transfer)
{
    struct curl_header *header;
    unsigned long long first;
    return curl_easy_header(transfer->curl, "Content-Range", 0, CURLH_HEADER, -1, &header) ==
               CURLHE_OK &&
           sscanf(header->value, "bytes %llu-", &first) == 1 && first == transfer->asked_from;
}

/* Before the first byte: where it goes, and whether all of them will fit. */
static enum ash_status begin_body(struct transfer *transfer)
{
    struct ash_pull_job *job = transfer->job;
    curl_off_t length = -1;
    long http = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &http);
    if (http == 206 && !continues(transfer))
        return ash_fail(ASH_ERR_NETWORK, "the server answered with another range than asked for");
    if (http != 206) { /* the whole file, from the start */
        if (ftruncate(transfer->fd, 0) != 0 || lseek(transfer->fd, 0, SEEK_SET) != 0)
            return ash_pull_fail_write(job, errno, 0, 0);
        transfer->have = 0;
        job->resumed = false;
        write_tag(transfer);
    }
    curl_easy_getinfo(transfer->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    transfer->total = length > 0 ? transfer->have + (uint64_t)length : job->size_bytes;
    if (job->size_bytes && transfer->total != job->size_bytes)
        return ash_fail(ASH_ERR_CHECKSUM,
            "the server's file has %" PRIu64 " bytes; expected %" PRIu64, transfer->total,
            job->size_bytes);
    return ash_pull_check_space(job, transfer->total - (transfer->total ? transfer->have : 0));
}

static size_t on_body(char *bytes, size_t one, size_t count, void *context)
{
    struct transfer *transfer = context;
    if (!transfer->begun) {
        transfer->begun = true;
        transfer->status = begin_body(transfer);
    }
    if (transfer->status == ASH_OK && transfer->job->size_bytes &&
        transfer->have + count > transfer->job->size_bytes)
        transfer->status = ash_fail(ASH_ERR_CHECKSUM,
            "the server sends more than the expected %" PRIu64 " bytes", transfer->job->size_bytes);
    if (transfer->status != ASH_OK)
        return CURL_WRITEFUNC_ERROR;
    int error = ash_pull_write(transfer->fd, bytes, one * count);
    if (error) {
        transfer->status =
            ash_pull_fail_write(transfer->job, error, transfer->have, transfer->total);
        return CURL_WRITEFUNC_ERROR;
    }
    transfer->have += count;
    return count;
}

static int on_progress(
    void *context, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up_now)
{
    struct transfer *transfer = context;
    (void)total, (void)now, (void)up_total, (void)up_now;
    if (transfer->status == ASH_OK) /* or it is on_body's, and on its way up */
        transfer->status =
            ash_pull_tick(transfer->job, ASH_PULL_DOWNLOADING, transfer->have, transfer->total);
    return transfer->status != ASH_OK;
}

static enum ash_status network_error(const struct transfer *transfer, CURLcode code)
{
    long http = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &http);
    if (code == CURLE_HTTP_RETURNED_ERROR && (http == 404 || http == 410))
        return ash_fail(ASH_ERR_NOT_FOUND, "the server has no such file (HTTP %ld)", http);
    if (code == CURLE_FILE_COULDNT_READ_FILE)
        return ash_fail(ASH_ERR_NOT_FOUND, "%s", transfer->text);
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT)
        return ash_fail(ASH_ERR_ARGUMENT, "%s", transfer->text);
    return ash_fail(ASH_ERR_NETWORK,
        "the download failed after %" PRIu64
        " bytes: %s; what there is is kept, the same command goes on from there",
        transfer->have, transfer->text[0] ? transfer->text : curl_easy_strerror(code));
}

/* Worth another try at once: the connection, not the answer, was at fault. */
static bool is_transient(const struct transfer *transfer, CURLcode code)
{
    long http = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &http);
    return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_GOT_NOTHING ||
           code == CURLE_SEND_ERROR || code == CURLE_OPERATION_TIMEDOUT || code == CURLE_HTTP2 ||
           code == CURLE_HTTP2_STREAM || (code == CURLE_HTTP_RETURNED_ERROR && http >= 500);
}

static void set_options(struct transfer *transfer, const char *url)
{
    CURL *curl = transfer->curl;
    bool secure = strncmp(url, "https:", 6) == 0;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https,file");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "ashlar");
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, transfer->text);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
}

/* Asks a server for what is missing; returns the headers to free, NULL when none were needed. */
static struct curl_slist *ask_range(struct transfer *transfer, bool local)
{
    char tag[MAX_TAG_BYTES], text[MAX_TAG_BYTES + 16];
    struct ash_pull_job *job = transfer->job;
    read_tag(job, tag);
    transfer->asked_from = !local && (job->sha256 || tag[0]) ? transfer->have : 0;
    job->resumed = transfer->asked_from > 0;
    if (!job->resumed)
        return NULL;
    snprintf(text, sizeof text, "%" PRIu64 "-", transfer->asked_from);
    curl_easy_setopt(transfer->curl, CURLOPT_RANGE, text);
    if (!tag[0])
        return NULL;
    snprintf(text, sizeof text, "If-Range: %s", tag);
    struct curl_slist *headers = curl_slist_append(NULL, text);
    curl_easy_setopt(transfer->curl, CURLOPT_HTTPHEADER, headers);
    return headers;
}

static CURLcode attempt(struct transfer *transfer, const char *url)
{
    off_t end = lseek(transfer->fd, 0, SEEK_END);
    transfer->have = end > 0 ? (uint64_t)end : 0;
    transfer->begun = false;
    transfer->status = ASH_OK;
    transfer->text[0] = '\0';
    curl_easy_reset(transfer->curl);
    set_options(transfer, url);
    struct curl_slist *headers = ask_range(transfer, strncmp(url, "file:", 5) == 0);
    CURLcode code = curl_easy_perform(transfer->curl);
    curl_slist_free_all(headers);
    return code;
}

/* The server has nothing behind what we have: it is complete, or the beginning of something else. */
static bool past_the_end(const struct transfer *transfer, CURLcode code)
{
    long http = 0;
    curl_easy_getinfo(transfer->curl, CURLINFO_RESPONSE_CODE, &http);
    return code == CURLE_HTTP_RETURNED_ERROR && http == 416 && transfer->asked_from > 0;
}

/* Goes on as long as there is progress; three attempts in a row that bring nothing end it. */
static enum ash_status transfer_all(struct transfer *transfer, const char *url)
{
    for (int tries = 1;; tries++) {
        uint64_t before = transfer->have;
        CURLcode code = attempt(transfer, url);
        if (transfer->status != ASH_OK)
            return transfer->status;
        if (code == CURLE_OK)
            return transfer->begun ? ASH_OK : begin_body(transfer); /* an empty file has no body */
        if (past_the_end(transfer, code) && ftruncate(transfer->fd, 0) == 0)
            unlink(transfer->job->tag);
        else if (!is_transient(transfer, code))
            return network_error(transfer, code);
        if (transfer->have > before)
            tries = 0;
        if (tries == ATTEMPTS)
            return network_error(transfer, code);
        nanosleep(&(struct timespec){ .tv_nsec = RETRY_MS * 1000000L * (tries + 1) }, NULL);
        ASH_TRY(
            ash_pull_tick(transfer->job, ASH_PULL_DOWNLOADING, transfer->have, transfer->total));
    }
}

static enum ash_status open_part(struct transfer *transfer)
{
    const struct ash_pull_job *job = transfer->job;
    struct stat info;
    transfer->fd = open(job->part, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (transfer->fd < 0)
        return ash_pull_fail_write(job, errno, 0, 0);
    if (fstat(transfer->fd, &info) == 0)
        transfer->have = (uint64_t)info.st_size;
    return ASH_OK;
}

enum ash_status ash_pull_from_url(struct ash_pull_job *job, const char *url)
{
    struct transfer transfer = { .job = job, .fd = -1 };
    ASH_TRY(open_part(&transfer));
    enum ash_status status = ASH_OK;
    if (job->size_bytes && transfer.have == job->size_bytes) {
        job->resumed = true; /* all of it was there; whether it is right is seen next */
    } else if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK ||
               !(transfer.curl = curl_easy_init())) {
        status = ash_fail(ASH_ERR_NO_MEMORY, "cannot start libcurl");
    } else {
        status = ash_fail_in(transfer_all(&transfer, url), "%s", url);
        curl_easy_cleanup(transfer.curl);
        curl_global_cleanup();
    }
    close(transfer.fd);
    if (status == ASH_ERR_CHECKSUM || status == ASH_ERR_NOT_FOUND || status == ASH_ERR_ARGUMENT)
        ash_pull_discard(job);
    return status;
}
