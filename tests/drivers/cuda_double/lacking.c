/* SPDX-License-Identifier: Apache-2.0 */
/* Half a library: the first call is there, the second is not. */
__attribute__((visibility("default"))) int cuInit(unsigned flags);

int cuInit(unsigned flags)
{
    return (int)flags;
}
