/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements of any bytes: a model that predicts finite times, or one message and no samples. */
#include "scheduler/cost_file.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct ash_rates rates = { 1e10, 1e11, 1e-6 };
    static const struct ash_cost cost = { 1e6, 1e5, 1e4 };
    struct ash_cost_model *model;
    if (ash_cost_model_create(&rates, &model) != ASH_OK)
        abort();
    double before = ash_cost_model_predict(model, ASH_COPY_KEY, &cost);
    enum ash_status status = ash_costs_parse((const char *)data, size, "fuzz", model);
    double after = ash_cost_model_predict(model, ASH_COPY_KEY, &cost);
    if (!(after > 0) || isinf(after))
        abort();
    if (status != ASH_OK && (after != before || !*ash_error()))
        abort();
    ash_cost_model_destroy(model);
    return 0;
}
