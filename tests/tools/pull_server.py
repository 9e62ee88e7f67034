# SPDX-License-Identifier: Apache-2.0
"""A web server with faults, for tests/tools/pull.c: pull_server.py FOLDER

Serves the files of FOLDER on a free port of 127.0.0.1, which it prints. The first part of the path says
how: /good/NAME with ranges and an ETag; /whole/NAME neither; /cut/NAME breaks off after 300,000 bytes of
every answer; /hang/NAME sends 100,000 bytes and then nothing; /loop/NAME and /local/NAME redirect to
themselves and to a file; /shift/NAME answers with the range one byte later than asked for. Every request
is a line in FOLDER/requests: path, Range, If-Range.
"""
import http.server
import os
import re
import sys
import time

folder = sys.argv[1]


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def redirect(self, target):
        self.send_response(302)
        self.send_header("Location", target)
        self.end_headers()

    def do_GET(self):
        how, _, name = self.path[1:].partition("/")
        asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
        with open(os.path.join(folder, "requests"), "a") as log:
            log.write(f"{self.path} {asked} {condition}\n")
        if how == "loop":
            return self.redirect(self.path)
        if how == "local":
            return self.redirect("file://" + os.path.join(folder, name))
        try:
            with open(os.path.join(folder, os.path.basename(name)), "rb") as file:
                data = file.read()
        except OSError:
            return self.send_error(404)
        tag = '"%d-%d"' % (len(data), sum(data[:4096]))
        begin = 0
        if asked and how != "whole" and condition in (None, tag):
            begin = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if begin >= len(data):
                return self.send_error(416)
        if begin and how == "shift":
            begin += 1
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(data) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        if how != "whole":
            self.send_header("ETag", tag)
        self.end_headers()
        data = data[begin:]
        if how == "cut":
            data = data[:300000]
        if how == "hang":
            data = data[:100000]
        try:
            self.wfile.write(data)
            self.wfile.flush()
            if how == "hang":
                time.sleep(60)
        except OSError:
            pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
