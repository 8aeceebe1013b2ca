/* rules.h - classes by expressions over a defect's columns
 *
 *   or         = and { "||" and }
 *   and        = not { "&&" not }
 *   not        = "!" not | comparison
 *   comparison = sum [ ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum ]
 *   sum        = product { ( "+" | "-" ) product }
 *   product    = factor { ( "*" | "/" ) factor }
 *   factor     = "-" factor | number | column | function "(" or { "," or } ")" | "(" or ")"
 *
 * Functions: abs (a), sqrt (a), log (a) natural, min (a, b), max (a, b). Columns are those of notch_feature_info. True
 * is 1, false is 0; a number counts as true when it is neither 0 nor NAN.
 *
 * A column that does not apply is NAN, and what is computed from NAN is NAN (min and max too). Every comparison with
 * NAN is false, != like the others; "!" of it is true. */
#pragma once

#include "inspect/detect/result.h"

typedef struct NotchExpression NotchExpression;

/* Compiles an expression. The error names the column of the text, from 1, and what may stand there. */
NotchExpression *notch_expression_new (const char *text, GError **error);
void notch_expression_free (NotchExpression *expression);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchExpression, notch_expression_free)
double notch_expression_value (const NotchExpression *expression, const double value[NOTCH_N_FEATURES]);

typedef struct NotchRules NotchRules;

/* Compiles the recipe's rules; the recipe is not kept. The error names the rule, and the file if there is one. */
NotchRules *notch_rules_new (const NotchRecipe *recipe, GError **error);
void notch_rules_free (NotchRules *rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NotchRules, notch_rules_free)
/* The classes' names in the order of the rules, "other" last (char *; owned by the caller). */
GPtrArray *notch_rules_class_names (const NotchRules *rules);

/* The class of a defect, an index into the names: the first rule that is true, else "other".
 *
 * *confidence says how clear the decision was, 0.5 to 1; it is no probability. A comparison a < b has a degree of
 * truth, 0.5 + (b - a) / (|a| + |b|) kept within 0 and 1: 0.5 at the threshold, 1 when b is three times a, or when
 * they differ in sign. With > likewise; == and != have 0 or 1; with NAN it is 0.5. && takes the smaller degree, || the
 * larger, ! takes 1 - degree. The confidence is the smallest of the degree of the rule that was true and, for every
 * rule before it, 1 - its degree. */
int notch_rules_classify (const NotchRules *rules, const double value[NOTCH_N_FEATURES], double *confidence);
