import AngelCore

/// Chat templates that a recipe can name for a model that brings none.
enum NamedTemplates {
  /// ChatML, as many releases write turns.
  private static let chatML = """
    {% for message in messages %}<|im_start|>{{ message.role }}
    {{ message.content }}<|im_end|>
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
    {% endif %}
    """
  /// Turns of the Gemma family, whose vocabulary has their marks in every release. It has no system turn: what one says opens
  /// the first of the user, as Gemma 3's own template has it.
  private static let gemma = """
    {{ bos_token }}{% set opening = '' %}{% set turns = messages %}{% if messages and messages[0].role == 'system' %}\
    {% set opening = messages[0].content + '\\n\\n' %}{% set turns = messages[1:] %}{% endif %}\
    {% for message in turns %}<start_of_turn>{{ 'model' if message.role == 'assistant' else message.role }}
    {{ opening if loop.first else '' }}{{ message.content }}<end_of_turn>
    {% endfor %}{% if add_generation_prompt %}<start_of_turn>model
    {% endif %}
    """

  /// The most bytes of a template's file.
  private static let limit = 1 << 20

  /// The template called `name`, or that in the file of this name.
  static func source(of name: String) throws -> String {
    switch name {
    case "chatml": return chatML
    case "gemma": return gemma
    default:
      guard FilePath.kind(name) == .file else {
        throw PTMError.recipe("chat_template is \(quoted(name)), which is neither chatml, gemma nor a file")
      }
      return String(decoding: try FilePath.contents(of: name, limit: limit), as: UTF8.self)
    }
  }
}
