/// The built-in filters by name, one line each; the bodies are grouped by what they work on.
enum TemplateFilters {
  static let withoutArguments: Set<String> = [
    "abs", "capitalize", "count", "e", "escape", "first", "items", "last", "length", "list", "lower", "reverse", "safe",
    "string", "title", "upper", "wordcount",
  ]

  typealias Filter =
    @Sendable (TemplateValue, TemplateArguments, inout TemplateEvaluator) throws(ChatTemplateError) -> TemplateValue

  static let table: [String: Filter] = [
    // TemplateFilters+Text.swift
    "capitalize": capitalize,
    "center": center,
    "e": escape,
    "escape": escape,
    "format": format,
    "indent": indent,
    "lower": lower,
    "replace": replace,
    "safe": string,
    "string": string,
    "title": title,
    "tojson": toJSON,
    "trim": trim,
    "upper": upper,
    "wordcount": wordCount,
    // TemplateFilters+Numbers.swift
    "abs": absolute,
    "float": float,
    "int": int,
    "round": round,
    // TemplateFilters+Sequences.swift
    "batch": batch,
    "count": length,
    "d": standard,
    "default": standard,
    "dictsort": dictionarySort,
    "first": first,
    "items": items,
    "join": join,
    "last": last,
    "length": length,
    "list": list,
    "max": maximum,
    "min": minimum,
    "reverse": reverse,
    "slice": slice,
    "sort": sort,
    "sum": sum,
    "unique": unique,
    // TemplateFilters+Selection.swift
    "attr": attr,
    "groupby": groupBy,
    "map": map,
    "reject": reject,
    "rejectattr": rejectAttribute,
    "select": select,
    "selectattr": selectAttribute,
  ]
}
