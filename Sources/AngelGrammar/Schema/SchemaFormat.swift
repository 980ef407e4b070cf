/// The string formats that are honoured, as regular expressions for whole strings.
enum SchemaFormat {
  static let expressions: [String: String] = [
    "date": date, "time": time, "date-time": "\(date)T\(time)",
    "duration": #"P(\d+W|(\d+Y(\d+M)?(\d+D)?|\d+M(\d+D)?|\d+D)(T(\d+H(\d+M)?(\d+S)?|\d+M(\d+S)?|\d+S))?"#
      + #"|T(\d+H(\d+M)?(\d+S)?|\d+M(\d+S)?|\d+S))"#,
    "uuid": "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "ipv4": #"\#(octet)(\.\#(octet)){3}"#,
    "hostname": #"\#(label)(\.\#(label)){0,3}"#,
    "email": #"[A-Za-z0-9_+\-]{1,32}(\.[A-Za-z0-9_+\-]{1,32}){0,2}@\#(label)(\.\#(label)){1,3}"#,
  ]

  // RFC 3339; 29 February and leap seconds are left out.
  private static let date =
    #"\d{4}-((0[13578]|1[02])-(0[1-9]|[12]\d|3[01])|(0[469]|11)-(0[1-9]|[12]\d|30)|02-(0[1-9]|1\d|2[0-8]))"#
  private static let time = #"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+\-]([01]\d|2[0-3]):[0-5]\d)"#
  private static let octet = #"(25[0-5]|2[0-4]\d|1\d\d|[1-9]\d|\d)"#
  private static let label = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?"
}
