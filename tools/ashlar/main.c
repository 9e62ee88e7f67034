/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ashlar/cli.h"

int main(int argc, char **argv)
{
    return ash_cli_main(argc, argv);
}
