/* SPDX-License-Identifier: Apache-2.0 */
/* Half a library: the first call is there, the second is not. */
__attribute__((visibility("default"))) int hipInit(unsigned flags);

int hipInit(unsigned flags)
{
    return (int)flags;
}
