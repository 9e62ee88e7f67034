// SPDX-License-Identifier: Apache-2.0
// What the build tries a compiler with: whether it knows a card, and finds its linker.
extern "C" __attribute__((global)) void trial(int *out)
{
    out[__builtin_amdgcn_workitem_id_x()] = 1;
}
