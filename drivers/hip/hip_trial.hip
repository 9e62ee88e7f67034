// SPDX-License-Identifier: Apache-2.0
// What the build tries a compiler with: whether it knows a card, and finds its linker.
extern "C" __attribute__((global)) void trial(int *out)
{
    *out = 1;
}
