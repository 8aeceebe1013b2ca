/* rules.c - a recursive-descent compiler to postfix code, a machine with a stack, and a list of rules */
#include "inspect/classify/rules.h"

#include <math.h>
#include <string.h>

/* ---- code ------------------------------------------------------------------------------------------------------ */

typedef enum {
  OP_NUMBER,
  OP_COLUMN,
  OP_NEGATE,
  OP_NOT,
  OP_ABS,
  OP_SQRT,
  OP_LOG,
  OP_LAST_UNARY = OP_LOG, /* those before it, numbers and columns apart, take one operand, those after it two */
  OP_MIN,
  OP_MAX,
  OP_OR,
  OP_AND,
  OP_LESS,
  OP_AT_MOST,
  OP_GREATER,
  OP_AT_LEAST,
  OP_EQUAL,
  OP_DIFFERENT,
  OP_ADD,
  OP_SUBTRACT,
  OP_MULTIPLY,
  OP_DIVIDE
} Op;

typedef struct {
  Op op;
  int column;    /* of OP_COLUMN */
  double number; /* of OP_NUMBER */
} Instruction;

struct NotchExpression {
  GArray *code; /* Instruction, operands before operators */
};

/* What a recipe can make the compiler recurse, and with it the stack: between two levels of nesting at most one
 * operand waits for each of the five kinds of operators, and one for the second argument of a function. */
#define MOST_NESTED  32
#define MOST_STACKED (6 * (MOST_NESTED + 1) + 1)

/* A number, and how true it is; see notch_rules_classify. */
typedef struct {
  double value, degree;
} Item;

static Item
item_of_number (double value)
{
  return (Item){ value, isnan (value) ? 0.5 : value != 0 };
}

static gboolean
is_true (Item item)
{
  return item.value != 0 && !isnan (item.value);
}

/* above > below as a fact and as a degree. */
static Item
compare (double above, double below, gboolean or_equal)
{
  const double room = fabs (above) + fabs (below);

  if (isnan (above) || isnan (below))
    return (Item){ 0, 0.5 };
  if (above == below)
    return (Item){ or_equal, 0.5 };
  if (isinf (room))
    return (Item){ above > below, above > below };
  return (Item){ above > below, CLAMP (0.5 + (above - below) / room, 0, 1) };
}

static Item
compare_equal (double a, double b, gboolean wanted)
{
  if (isnan (a) || isnan (b))
    return (Item){ 0, 0.5 };
  return item_of_number ((a == b) == wanted);
}

static Item
apply_unary (Op op, Item a)
{
  switch (op) {
  case OP_NEGATE:
    return item_of_number (-a.value);
  case OP_NOT:
    return (Item){ !is_true (a), 1 - a.degree };
  case OP_ABS:
    return item_of_number (fabs (a.value));
  case OP_SQRT:
    return item_of_number (sqrt (a.value));
  default: /* OP_LOG */
    return item_of_number (log (a.value));
  }
}

static Item
apply_binary (Op op, Item a, Item b)
{
  const gboolean unknown = isnan (a.value) || isnan (b.value);

  switch (op) {
  case OP_MIN:
    return item_of_number (unknown ? NAN : MIN (a.value, b.value));
  case OP_MAX:
    return item_of_number (unknown ? NAN : MAX (a.value, b.value));
  case OP_OR:
    return (Item){ is_true (a) || is_true (b), MAX (a.degree, b.degree) };
  case OP_AND:
    return (Item){ is_true (a) && is_true (b), MIN (a.degree, b.degree) };
  case OP_LESS:
    return compare (b.value, a.value, FALSE);
  case OP_AT_MOST:
    return compare (b.value, a.value, TRUE);
  case OP_GREATER:
    return compare (a.value, b.value, FALSE);
  case OP_AT_LEAST:
    return compare (a.value, b.value, TRUE);
  case OP_EQUAL:
    return compare_equal (a.value, b.value, TRUE);
  case OP_DIFFERENT:
    return compare_equal (a.value, b.value, FALSE);
  case OP_ADD:
    return item_of_number (a.value + b.value);
  case OP_SUBTRACT:
    return item_of_number (a.value - b.value);
  case OP_MULTIPLY:
    return item_of_number (a.value * b.value);
  default: /* OP_DIVIDE */
    return item_of_number (a.value / b.value);
  }
}

static Item
evaluate (const NotchExpression *expression, const double value[NOTCH_N_FEATURES])
{
  Item stack[MOST_STACKED];
  int n = 0;

  for (guint i = 0; i < expression->code->len; i++) {
    const Instruction *next = &g_array_index (expression->code, Instruction, i);
    if (next->op == OP_NUMBER)
      stack[n++] = item_of_number (next->number);
    else if (next->op == OP_COLUMN)
      stack[n++] = item_of_number (value[next->column]);
    else if (next->op <= OP_LAST_UNARY)
      stack[n - 1] = apply_unary (next->op, stack[n - 1]);
    else {
      n--;
      stack[n - 1] = apply_binary (next->op, stack[n - 1], stack[n]);
    }
  }
  return stack[0];
}

double
notch_expression_value (const NotchExpression *expression, const double value[NOTCH_N_FEATURES])
{
  return evaluate (expression, value).value;
}

/* ---- compiler -------------------------------------------------------------------------------------------------- */

typedef struct {
  const char *text, *at;
  GArray *code;
  int nested;
  GError **error;
} Compiler;

enum { LEVEL_OR, LEVEL_AND, LEVEL_COMPARE, LEVEL_SUM, LEVEL_PRODUCT, N_LEVELS };

/* A longer one before the one that it begins with. */
static const struct {
  const char *text;
  int level;
  Op op;
} operators[] = {
  { "||", LEVEL_OR, OP_OR },         { "&&", LEVEL_AND, OP_AND },           { "<=", LEVEL_COMPARE, OP_AT_MOST },
  { "<", LEVEL_COMPARE, OP_LESS },   { ">=", LEVEL_COMPARE, OP_AT_LEAST },  { ">", LEVEL_COMPARE, OP_GREATER },
  { "==", LEVEL_COMPARE, OP_EQUAL }, { "!=", LEVEL_COMPARE, OP_DIFFERENT }, { "+", LEVEL_SUM, OP_ADD },
  { "-", LEVEL_SUM, OP_SUBTRACT },   { "*", LEVEL_PRODUCT, OP_MULTIPLY },   { "/", LEVEL_PRODUCT, OP_DIVIDE }
};

static const struct {
  const char *name;
  int arguments;
  Op op;
} functions[] = {
  { "abs", 1, OP_ABS }, { "sqrt", 1, OP_SQRT }, { "log", 1, OP_LOG }, { "min", 2, OP_MIN }, { "max", 2, OP_MAX }
};

static gboolean G_GNUC_PRINTF (3, 4) fail (Compiler *compiler, const char *at, const char *format, ...)
{
  va_list arguments;
  int column = 1;

  for (const char *c = compiler->text; c < at; c++)
    column += ((guchar) *c & 0xC0) != 0x80; /* characters, not the bytes that they go on with */
  va_start (arguments, format);
  g_autofree char *what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (compiler->error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "column %d: %s", column, what);
  return FALSE;
}

static gboolean
fail_operand (Compiler *compiler)
{
  return fail (compiler, compiler->at, "%s%.*s%s; here stands a number, a column's name, a function, - or (",
               *compiler->at ? "\"" : "the end", (int) (g_utf8_next_char (compiler->at) - compiler->at), compiler->at,
               *compiler->at ? "\" is out of place" : " is too early");
}

static void
emit (Compiler *compiler, Op op, int column, double number)
{
  const Instruction next = { op, column, number };
  g_array_append_val (compiler->code, next);
}

static void
skip_space (Compiler *compiler)
{
  while (g_ascii_isspace (*compiler->at))
    compiler->at++;
}

static gboolean
accept (Compiler *compiler, char c)
{
  skip_space (compiler);
  if (*compiler->at != c)
    return FALSE;
  compiler->at++;
  return TRUE;
}

static gboolean compile (Compiler *compiler, int level);

/* What recurses goes through here. */
static gboolean
compile_nested (Compiler *compiler, int level)
{
  if (compiler->nested == MOST_NESTED)
    return fail (compiler, compiler->at, "nested deeper than %d levels; make it simpler", MOST_NESTED);
  compiler->nested++;
  const gboolean fine = compile (compiler, level);
  compiler->nested--;
  return fine;
}

static gboolean
compile_number (Compiler *compiler)
{
  char *end = NULL;
  const double number = g_ascii_strtod (compiler->at, &end);

  if (!isfinite (number))
    return fail (compiler, compiler->at, "the number is too large");
  emit (compiler, OP_NUMBER, 0, number);
  compiler->at = end;
  return TRUE;
}

/* How many characters two words share at their beginnings and their ends. */
static gsize
likeness (const char *a, const char *b)
{
  gsize front = 0, back = 0;
  const gsize n = strlen (a), m = strlen (b);

  while (front < MIN (n, m) && a[front] == b[front])
    front++;
  while (back < MIN (n, m) - front && a[n - 1 - back] == b[m - 1 - back])
    back++;
  return front + back;
}

static gboolean
fail_name (Compiler *compiler, const char *at, const char *name)
{
  g_autoptr (GString) known = g_string_new (NULL);
  const char *nearest = NULL;
  gsize best = strlen (name) / 2;

  for (int i = 0; i < NOTCH_N_FEATURES; i++) {
    const char *other = notch_feature_info[i].name;
    g_string_append_printf (known, "%s%s", i > 0 ? ", " : "", other);
    if (likeness (name, other) > best) {
      best = likeness (name, other);
      nearest = other;
    }
  }
  g_string_append (known, "; functions are ");
  for (gsize i = 0; i < G_N_ELEMENTS (functions); i++)
    g_string_append_printf (known, "%s%s", i > 0 ? ", " : "", functions[i].name);
  return fail (compiler, at, "\"%s\" is unknown%s%s%s; columns are %s", name, nearest ? " (did you mean \"" : "",
               nearest ? nearest : "", nearest ? "\"?)" : "", known->str);
}

static gboolean
compile_call (Compiler *compiler, gsize function)
{
  if (!accept (compiler, '('))
    return fail (compiler, compiler->at, "( is missing after the function %s", functions[function].name);
  for (int i = 0; i < functions[function].arguments; i++) {
    if (i > 0 && !accept (compiler, ','))
      return fail (compiler, compiler->at, "%s takes %d arguments with a comma between", functions[function].name,
                   functions[function].arguments);
    if (!compile_nested (compiler, LEVEL_OR))
      return FALSE;
  }
  if (!accept (compiler, ')'))
    return fail (compiler, compiler->at, ") is missing after %d argument%s of %s", functions[function].arguments,
                 functions[function].arguments == 1 ? "" : "s", functions[function].name);
  emit (compiler, functions[function].op, 0, 0);
  return TRUE;
}

static gboolean
compile_name (Compiler *compiler)
{
  const char *at = compiler->at;

  while (g_ascii_isalnum (*compiler->at) || *compiler->at == '_')
    compiler->at++;
  g_autofree char *name = g_strndup (at, compiler->at - at);
  for (gsize i = 0; i < G_N_ELEMENTS (functions); i++)
    if (strcmp (name, functions[i].name) == 0)
      return compile_call (compiler, i);
  for (int i = 0; i < NOTCH_N_FEATURES; i++)
    if (strcmp (name, notch_feature_info[i].name) == 0) {
      emit (compiler, OP_COLUMN, i, 0);
      return TRUE;
    }
  return fail_name (compiler, at, name);
}

static gboolean
compile_factor (Compiler *compiler)
{
  if (accept (compiler, '-')) {
    if (!compile_nested (compiler, N_LEVELS))
      return FALSE;
    emit (compiler, OP_NEGATE, 0, 0);
    return TRUE;
  }
  if (accept (compiler, '(')) {
    const char *at = compiler->at;
    if (!compile_nested (compiler, LEVEL_OR))
      return FALSE;
    return accept (compiler, ')') || fail (compiler, at - 1, "this ( is never closed; add a )");
  }
  if (g_ascii_isdigit (*compiler->at) || (*compiler->at == '.' && g_ascii_isdigit (compiler->at[1])))
    return compile_number (compiler);
  if (g_ascii_isalpha (*compiler->at) || *compiler->at == '_')
    return compile_name (compiler);
  return fail_operand (compiler);
}

/* The operator of a level that comes next, as an index, or -1. */
static int
next_operator (Compiler *compiler, int level)
{
  skip_space (compiler);
  for (gsize i = 0; i < G_N_ELEMENTS (operators); i++)
    if (g_str_has_prefix (compiler->at, operators[i].text))
      return operators[i].level == level ? (int) i : -1;
  return -1;
}

static gboolean
compile (Compiler *compiler, int level)
{
  if (level == N_LEVELS)
    return compile_factor (compiler);
  skip_space (compiler);
  if (level == LEVEL_COMPARE && *compiler->at == '!') {
    compiler->at++;
    if (!compile_nested (compiler, LEVEL_COMPARE))
      return FALSE;
    emit (compiler, OP_NOT, 0, 0);
    return TRUE;
  }
  if (!compile (compiler, level + 1))
    return FALSE;
  for (int i = next_operator (compiler, level), n = 0; i >= 0; i = next_operator (compiler, level), n++) {
    if (level == LEVEL_COMPARE && n > 0)
      return fail (compiler, compiler->at, "comparisons do not chain; write two and join them with &&");
    compiler->at += strlen (operators[i].text);
    if (!compile (compiler, level + 1))
      return FALSE;
    emit (compiler, operators[i].op, 0, 0);
  }
  return TRUE;
}

NotchExpression *
notch_expression_new (const char *text, GError **error)
{
  g_autoptr (NotchExpression) expression = g_new0 (NotchExpression, 1);
  expression->code = g_array_new (FALSE, FALSE, sizeof (Instruction));
  Compiler compiler = { .text = text, .at = text, .code = expression->code, .error = error };

  if (!g_utf8_validate (text, -1, &compiler.at)) {
    fail (&compiler, compiler.at, "this is no UTF-8 text");
    return NULL;
  }
  compiler.at = text;
  if (!compile (&compiler, LEVEL_OR))
    return NULL;
  skip_space (&compiler);
  if (*compiler.at != '\0') {
    fail (&compiler, compiler.at,
          "\"%s\" is left over; between two operands stands one of && || < <= > >= == != + - * /", compiler.at);
    return NULL;
  }
  return g_steal_pointer (&expression);
}

void
notch_expression_free (NotchExpression *expression)
{
  if (expression == NULL)
    return;
  g_array_unref (expression->code);
  g_free (expression);
}

/* ---- rules ----------------------------------------------------------------------------------------------------- */

static const char other[] = "other";

struct NotchRules {
  GPtrArray *name;       /* char * */
  GPtrArray *expression; /* NotchExpression, beside it */
};

static gboolean
add_rule (NotchRules *rules, const NotchRule *rule, GError **error)
{
  if (strcmp (rule->name, other) == 0) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE,
                 "\"%s\" is the class of what no rule describes; choose another name", other);
    return FALSE;
  }
  if (g_ptr_array_find_with_equal_func (rules->name, rule->name, g_str_equal, NULL)) {
    g_set_error (error, NOTCH_ERROR, NOTCH_ERROR_RECIPE, "there are two rules of this name; join them with ||");
    return FALSE;
  }
  NotchExpression *expression = notch_expression_new (rule->expression, error);
  if (expression == NULL)
    return FALSE;
  g_ptr_array_add (rules->name, g_strdup (rule->name));
  g_ptr_array_add (rules->expression, expression);
  return TRUE;
}

NotchRules *
notch_rules_new (const NotchRecipe *recipe, GError **error)
{
  g_autoptr (NotchRules) rules = g_new0 (NotchRules, 1);
  rules->name = g_ptr_array_new_with_free_func (g_free);
  rules->expression = g_ptr_array_new_with_free_func ((GDestroyNotify) notch_expression_free);
  for (guint i = 0; i < recipe->classify.rule->len; i++) {
    const NotchRule *rule = recipe->classify.rule->pdata[i];
    if (!add_rule (rules, rule, error)) {
      g_autofree char *key = g_strconcat ("class.", rule->name, NULL);
      g_autofree char *place = notch_recipe_place (recipe, "classify", key);
      g_prefix_error (error, "%s = %s: ", place, rule->expression);
      return NULL;
    }
  }
  return g_steal_pointer (&rules);
}

void
notch_rules_free (NotchRules *rules)
{
  if (rules == NULL)
    return;
  g_ptr_array_unref (rules->name);
  g_ptr_array_unref (rules->expression);
  g_free (rules);
}

GPtrArray *
notch_rules_class_names (const NotchRules *rules)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; i < rules->name->len; i++)
    g_ptr_array_add (names, g_strdup (rules->name->pdata[i]));
  g_ptr_array_add (names, g_strdup (other));
  return names;
}

int
notch_rules_classify (const NotchRules *rules, const double value[NOTCH_N_FEATURES], double *confidence)
{
  *confidence = 1;
  for (guint i = 0; i < rules->expression->len; i++) {
    const Item item = evaluate (rules->expression->pdata[i], value);
    *confidence = MIN (*confidence, is_true (item) ? item.degree : 1 - item.degree);
    if (is_true (item))
      return (int) i;
  }
  return (int) rules->expression->len;
}
