import AngelCore
import AngelGrammar
import Testing

@Suite struct SchemaTests {
  struct Case: Sendable {
    let schema: String
    var accepted: [String] = []
    var refused: [String] = []
  }

  @Test(
    "a schema's grammar has the texts that the schema accepts",
    arguments: [
      Case(schema: #"{"type":"integer"}"#, accepted: ["0", "-7", "42"], refused: ["01", "1.5", "", "\"1\"", "--1"]),
      Case(
        schema: #"{"type":"number"}"#, accepted: ["0", "-1.5e10", "3.25", "2E-3"], refused: [".5", "1.", "1e999", "+1"]),
      Case(schema: #"{"type":"number","minimum":0}"#, accepted: ["0", "1.5"], refused: ["-1"]),
      Case(
        schema: #"{"type":["string","null"]}"#, accepted: ["null", #""a\n\u00e9\ud83d\ude00é""#],
        refused: ["1", #""\x""#, #""\ud83d""#, "\"a\nb\""]),
      Case(schema: #"{"type":"string","nullable":true}"#, accepted: ["null", #""""#]),
      Case(schema: #"{"type":"boolean"}"#, accepted: ["true", "false"], refused: ["True", "0"]),
      Case(
        schema: #"{"const":{"a":[1,"x"]}}"#, accepted: [#"{"a":[1,"x"]}"#, "{\n  \"a\": [1, \"x\"]\n}"],
        refused: [#"{"a":[1]}"#]),
      Case(schema: #"{"enum":["a",1,null]}"#, accepted: [#""a""#, "1", "null"], refused: [#""b""#, "2"]),
      Case(schema: #"{"type":"integer","enum":["a",1]}"#, accepted: ["1"], refused: [#""a""#]),
      Case(
        schema: #"{"type":"string","minLength":2,"maxLength":3}"#, accepted: [#""ab""#, #""é😀\n""#],
        refused: [#""a""#, #""abcd""#]),
      Case(
        schema: #"{"type":"string","pattern":"^[a-z]+\\d$"}"#, accepted: [#""ab1""#], refused: [#""ab""#, #""ab1x""#]),
      Case(schema: #"{"type":"string","pattern":"b|^c"}"#, accepted: [#""abc""#, #""cx""#], refused: [#""ac""#]),
      Case(
        schema: #"{"type":"string","pattern":"^[\"\\\\\n]$"}"#, accepted: [#""\"""#, #""\\""#, #""\n""#],
        refused: [#""n""#]),
      Case(
        schema: #"{"type":"string","format":"date"}"#, accepted: [#""1815-12-10""#],
        refused: [#""1815-13-10""#, #""1815-02-30""#]),
      Case(
        schema: #"{"type":"string","format":"date-time"}"#,
        accepted: [#""2026-01-31T23:59:59.5Z""#, #""2026-01-31T00:00:00+01:00""#], refused: [#""2026-01-31""#]),
      Case(
        schema: #"{"type":"string","format":"uuid"}"#, accepted: [#""123e4567-e89b-12d3-a456-426614174000""#],
        refused: [#""123e4567""#]),
      Case(schema: #"{"type":"string","format":"ipv4"}"#, accepted: [#""192.168.0.255""#], refused: [#""256.1.1.1""#]),
      Case(schema: #"{"type":"string","format":"email"}"#, accepted: [#""ada.l@example.org""#], refused: [#""ada""#]),
      Case(
        schema:
          #"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"boolean"},"c":{"type":"null"}},"required":["b"]}"#,
        accepted: [
          #"{"b":true}"#, #"{"a":1,"b":false}"#, #"{"a": 1, "b": true, "c": null}"#,
          "{\n  \"b\": true,\n  \"c\": null\n}",
        ],
        refused: ["{}", #"{"a":1}"#, #"{"b":true,"a":1}"#, #"{"b":true,}"#, #"{"b":true,"d":1}"#]),
      Case(
        schema: #"{"properties":{"a":{"type":"integer"}},"additionalProperties":{"type":"string"}}"#,
        accepted: ["{}", #"{"a":1}"#, #"{"a":1,"b":"x"}"#, #"{"ab":"x","":"y"}"#],
        refused: [#"{"a":"x"}"#, #"{"b":1}"#, #"{"a":1,"a":"x"}"#, #"{"\u0061":"x"}"#]),
      Case(schema: #"{"type":"object"}"#, accepted: ["{}", #"{"x":[1,{"y":null}]}"#], refused: ["[]"]),
      Case(schema: #"{"type":"object","additionalProperties":false}"#, accepted: ["{}"], refused: [#"{"a":1}"#]),
      Case(schema: #"{"required":["a"]}"#, accepted: [#"{"a":[]}"#], refused: ["{}"]),
      Case(
        schema: #"{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3}"#,
        accepted: ["[1]", "[1, 2,3]"], refused: ["[]", "[1,2,3,4]", "[1,]", "[true]"]),
      Case(schema: #"{"type":"array"}"#, accepted: ["[]", #"[1,"a",{}]"#]),
      Case(
        schema: #"{"prefixItems":[{"type":"integer"},{"type":"string"}]}"#, accepted: [#"[1,"a"]"#],
        refused: ["[]", #"["a",1]"#, #"[1,"a",2]"#]),
      Case(
        schema: #"{"prefixItems":[{"type":"integer"}],"items":{"type":"null"},"minItems":2}"#,
        accepted: ["[1,null]", "[1,null,null]"], refused: ["[1]"]),
      Case(
        schema: #"{"prefixItems":[{"type":"integer"},{"type":"null"}],"maxItems":1}"#, accepted: ["[1]"],
        refused: ["[1,null]"]),
      Case(schema: #"{"anyOf":[{"type":"integer"},{"type":"null"}]}"#, accepted: ["1", "null"], refused: ["true"]),
      Case(
        schema:
          #"{"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"}},"anyOf":[{"required":["a"]},{"required":["b"]}]}"#,
        accepted: [#"{"a":null}"#, #"{"b":null}"#, #"{"a":null,"b":null}"#], refused: ["{}"]),
      Case(
        schema:
          #"{"oneOf":[{"properties":{"k":{"const":"x"},"v":{"type":"integer"}},"required":["k","v"]},{"properties":{"k":{"const":"y"}},"required":["k"]}]}"#,
        accepted: [#"{"k":"x","v":1}"#, #"{"k":"y"}"#], refused: [#"{"k":"x"}"#]),
      Case(
        schema: #"{"allOf":[{"type":"string"},{"nullable":true}]}"#, accepted: [#""x""#], refused: ["null"]),
      Case(
        schema:
          #"{"allOf":[{"properties":{"a":{"minimum":1}},"required":["a"]},{"properties":{"a":{"type":"integer"},"b":{"type":"null"}}}]}"#,
        accepted: [#"{"a":5}"#, #"{"a":1,"b":null}"#], refused: [#"{"a":0}"#, "{}"]),
      Case(
        schema:
          ##"{"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]}},"required":["v","next"]}}}"##,
        accepted: [#"{"v":1,"next":{"v":2,"next":null}}"#], refused: [#"{"v":1}"#]),
      Case(schema: ##"{"type":"array","items":{"$ref":"#"}}"##, accepted: ["[]", "[[],[[]]]"], refused: ["[1]"]),
      Case(schema: ##"{"$ref":"#/definitions/a~1b","title":"t","definitions":{"a/b":{"const":3}}}"##, accepted: ["3"]),
      Case(
        schema: ##"{"$ref":"#/$defs/n","maximum":3,"$defs":{"n":{"type":"integer","minimum":1,"maximum":9}}}"##,
        accepted: ["1", "3"], refused: ["4", "0"]),
      Case(schema: "true", accepted: ["1", "{}", "[null]", #""x""#]),
      Case(schema: "{}", accepted: ["1", "{}", "[null]", #""x""#]),
      Case(
        schema:
          #"{"title":"t","description":"d","default":1,"examples":[1],"$schema":"x","x-order":1,"uniqueItems":false,"type":"integer"}"#,
        accepted: ["1"]),
    ])
  func languages(_ example: Case) throws {
    let format = OutputFormat.jsonSchema(try JSONValue(parsing: example.schema))
    let grammar = try format.makeGrammar()
    for text in example.accepted { #expect(try grammar.accepts(text), "\(example.schema) with \(text)") }
    for text in example.refused { #expect(try !grammar.accepts(text), "\(example.schema) with \(text)") }
  }

  @Test(
    "integers within bounds are those within bounds",
    arguments: [(0, 9), (1, 100), (-5, 5), (-120, -7), (95, 1203), (7, 7), (-10, 0), (199, 200)])
  func ranges(_ least: Int, _ most: Int) throws {
    let grammar = try OutputFormat.jsonSchema([
      "type": "integer", "minimum": .integer(least), "exclusiveMaximum": .integer(most + 1),
    ]).makeGrammar()
    for value in -1300...1300 {
      try #require(try grammar.accepts("\(value)") == (least...most).contains(value), "\(value)")
    }
    #expect(try !grammar.accepts("-0") && !grammar.accepts("007"))
  }

  @Test("integers with one bound, a fraction as a bound, and bounds of 64 bits")
  func openRanges() throws {
    func accepts(_ schema: JSONValue, _ text: String) throws -> Bool {
      try OutputFormat.jsonSchema(schema).accepts(text)
    }
    #expect(
      try accepts(["type": "integer", "minimum": 3], "3") && accepts(["type": "integer", "minimum": 3], "99999"))
    #expect(try !accepts(["type": "integer", "minimum": 3], "-4") && !accepts(["type": "integer", "minimum": 3], "2"))
    #expect(
      try accepts(["type": "integer", "maximum": -2.5], "-3") && !accepts(["type": "integer", "maximum": -2.5], "-2"))
    #expect(try accepts(["type": "integer", "minimum": .integer(.max)], "\(Int.max)"))
    #expect(try accepts(["type": "integer", "maximum": .integer(.min)], "\(Int.min)"))
  }

  @Test(
    "what a schema may not say is refused with its JSON pointer",
    arguments: [
      (#"{"type":"object","properties":{"a/b":{"not":{}}}}"#, "/properties/a~1b/not", "keyword 'not' is not supported"),
      (#"{"items":{"anyOf":[{"type":"string"},{"if":{}}]}}"#, "/items/anyOf/1/if", "keyword 'if' is not supported"),
      (
        #"{"allOf":[{"patternProperties":{}}]}"#, "/allOf/0/patternProperties",
        "keyword 'patternProperties' is not supported"
      ),
      (
        ##"{"$ref":"#/$defs/x","$defs":{"x":{"multipleOf":2}}}"##, "/$defs/x/multipleOf",
        "keyword 'multipleOf' is not supported"
      ),
      (#"{"type":"array","uniqueItems":true}"#, "/uniqueItems", "keyword 'uniqueItems' is not supported"),
      (#"{"type":"strin"}"#, "/type", "there is no type 'strin'; did you mean 'string'?"),
      (
        #"{"type":"string","format":"colour"}"#, "/format",
        "format 'colour' is not supported: use date, date-time, duration, email, hostname, ipv4, time, uuid"
      ),
      (
        #"{"type":"string","pattern":"a(?=b)"}"#, "/pattern",
        "the regular expression cannot be used, at character 1: groups that look around, name back or set flags are not supported"
      ),
      (
        #"{"type":"string","pattern":"a","maxLength":3}"#, "/maxLength", "'maxLength' beside 'pattern' is not supported"
      ),
      (#"{"type":"number","maximum":3}"#, "/maximum", "bounds are supported for integers; for numbers a minimum of 0"),
      (#"{"type":"integer","minimum":5,"maximum":3}"#, "", "no integer is within the bounds"),
      (#"{"type":"array","minItems":3,"maxItems":2}"#, "/maxItems", "it is less than minItems"),
      (
        #"{"type":"object","required":["a"],"additionalProperties":false}"#, "/required/0",
        "'a' is required and not allowed"
      ),
      (
        #"{"$ref":"http://example.org/x"}"#, "/$ref",
        "'http://example.org/x' is outside the schema: references begin with '#'"
      ),
      (##"{"$ref":"#/$defs/x"}"##, "/$ref", "there is nothing at '#/$defs/x'"),
      (#"{"enum":[]}"#, "/enum", "'enum' must be an array of values, at least one, not an array"),
      (#"{"type":"integer","enum":["a"]}"#, "/enum", "no value fits the other keywords"),
      (#"{"enum":[5],"minimum":3}"#, "/minimum", "'minimum' beside 'enum' is not supported"),
      (#"{"items":[{"type":"string"}]}"#, "/items", "'items' must be a schema, not an array"),
      (#"{"properties":{"a":3}}"#, "/properties/a", "a schema must be an object or a boolean, not a number"),
      (#"{"properties":{"a":false}}"#, "/properties/a", "it allows no value"),
      (
        #"{"oneOf":[{"type":"integer"},{"type":"number"}]}"#, "/oneOf/1",
        "a value may fit this alternative and number 0 too: use anyOf, or tell them apart by type or const"
      ),
      (
        // A string fits the first too, which is about objects and says nothing of others.
        #"{"oneOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"type":"string","maxLength":3}]}"#,
        "/oneOf/1",
        "a value may fit this alternative and number 0 too: use anyOf, or tell them apart by type or const"
      ),
      (
        #"{"allOf":[{"prefixItems":[{"type":"string"}]},{"items":{"type":"integer"}}]}"#, "/allOf/1",
        "'items' is about the 'prefixItems' of the other schema too: say all of it in one place"
      ),
      (
        #"{"allOf":[{"type":"string"},{"type":"integer"}]}"#, "/allOf/1",
        "'type' here and beside it cannot be combined: say it in one place"
      ),
      (
        #"{"allOf":[{"properties":{"a":{}},"additionalProperties":false},{"properties":{"b":{}}}]}"#, "/allOf/1",
        "'additionalProperties' does not see the properties of the other schema: say all of it in one place"
      ),
      ("3", "", "a schema must be an object or a boolean, not a number"),
    ])
  func refusals(_ schema: String, _ pointer: String, _ reason: String) throws {
    #expect(
      OutputFormat.jsonSchema(try JSONValue(parsing: schema)).refusal
        == "the JSON Schema cannot be used, at '\(pointer)': \(reason)")
  }

  @Test("schemas that ask for too much are refused in good time")
  func bounds() throws {
    var deep: JSONValue = ["type": "string"]
    for _ in 0..<100 { deep = ["type": "array", "items": deep] }
    #expect(OutputFormat.jsonSchema(deep).refusal?.hasSuffix("schemas are nested deeper than 64") == true)
    let long: JSONValue = ["type": "string", "maxLength": 1_000_000_000]
    #expect(OutputFormat.jsonSchema(long).refusal?.hasPrefix("the grammar has more than 262,144 states") == true)
    // Each definition says twice what the next one says.
    var definitions = JSONObject()
    for level in 0..<25 {
      let next: JSONValue = ["$ref": .string("#/$defs/d\(level + 1)")]
      definitions["d\(level)"] = ["allOf": [next, next], "title": "t"]
    }
    definitions["d25"] = ["type": "null"]
    let doubling: JSONValue = ["$ref": "#/$defs/d0", "$defs": .object(definitions)]
    #expect(OutputFormat.jsonSchema(doubling).refusal?.contains("more than 20000 schemas have to be read") == true)
    // What is as large as a request may be must neither overflow the stack nor take long.
    let name = String(repeating: "n", count: 60_000)
    let named: JSONValue = ["properties": .object(JSONObject([(name, true)])), "additionalProperties": true]
    #expect(OutputFormat.jsonSchema(named).refusal?.contains("is longer than 1024 bytes") == true)
    let names = (0..<99_000).map { "p\($0)" }
    let many: JSONValue = [
      "properties": .object(JSONObject(names.map { ($0, true) })), "required": .array(names.map { .string($0) }),
    ]
    #expect(OutputFormat.jsonSchema(many).refusal?.contains("more than 20000 schemas have to be read") == true)
    let constants: JSONValue = ["oneOf": .array((0..<6000).map { ["const": .integer($0)] })]
    #expect(OutputFormat.jsonSchema(constants).refusal?.contains("more than 20000 schemas have to be read") == true)
    let parts: JSONValue = [
      "allOf": .array(
        (0..<11_000).map { ["properties": ["a": ["description": .string("\($0)"), "minLength": .integer($0)]]] })
    ]
    #expect(OutputFormat.jsonSchema(parts).refusal?.contains("more than 20000 schemas have to be read") == true)
    let optional: JSONValue = ["properties": .object(JSONObject(names.prefix(2_000).map { ($0, true) }))]
    #expect(try OutputFormat.jsonSchema(optional).accepts(#"{"p0": 1, "p1999": {}}"#))
    #expect(OutputFormat.jsonSchema(["$ref": "#"]).refusal != nil)
    #expect(OutputFormat.jsonSchema(["allOf": [["$ref": "#"]]]).refusal != nil)
  }

  @Test("a JSON object is any, and nothing but an object")
  func jsonObject() throws {
    for text in ["{}", #"{"a": [1.5, true, {"b": null}], "c": "d"}"#, "{\n  \"a\": {}\n}"] {
      #expect(try OutputFormat.jsonObject.accepts(text))
    }
    for text in ["[]", "1", #"{"a"}"#, #"{"a":1,}"#, "{", " {}"] {
      #expect(try !OutputFormat.jsonObject.accepts(text))
    }
  }
}
