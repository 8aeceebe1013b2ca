/* xgboost.h - forests that XGBoost saved as JSON, from Python or from its C library */
#pragma once

#include "inspect/classify/model.h"

/* A model of purpose "defects" and classifier "forest" of what booster.save_model ("m.json") writes: objective multi:softprob,
 * multi:softmax or binary:logistic, booster gbtree, numerical splits, one number a leaf; as versions 1.7 to 3.2 write it. Its
 * feature_names are columns of a defect; its attribute `classes`, names with commas between, names the classes, else they are
 * class_0, class_1, … `path` stands in errors. */
NotchModel *notch_xgboost_model (GBytes *json, const char *path, GError **error);
