import AngelCore
import AngelTesting
import Testing

@testable import AngelServer

/// Documents ranked by an encoder's vectors, through a socket.
@Suite("Ranking over HTTP")
struct RerankTests {
  let running: RunningServer

  init() throws { running = try RunningServer(others: [RunningServer.encoder()]) }

  private static let documents = ["the cat sat", "stocks fell", "a cat"]
  private static let body =
    #""model":"encoder","query":"cats","documents":["the cat sat",{"text":"stocks fell"},"a cat"]"#

  /// The cosines of the query's vector with the documents', both as /v1/embeddings gives them.
  private func cosines() throws -> [Double] {
    let texts = (["cats"] + Self.documents).map { JSONValue.string($0) }
    let body: JSONValue = ["model": "encoder", "input": .array(texts)]
    let data = try running.post("/v1/embeddings", body.encoded()).json["data"]?.array ?? []
    let vectors = data.map {
      ($0["embedding"]?.array ?? []).compactMap { $0.double.map { Float($0) } }.map(Double.init)
    }
    func product(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
    return vectors.dropFirst().map { document in
      product(document, vectors[0])
        / (product(document, document) * product(vectors[0], vectors[0])).squareRoot()
    }
  }

  @Test("results are sorted by the cosine of the vectors that /v1/embeddings gives, on either path")
  func scores() throws {
    let cosines = try cosines()
    #expect(Set(cosines).count == 3)
    let order = cosines.indices.sorted { cosines[$0] > cosines[$1] }
    for path in ["/v1/rerank", "/rerank"] {
      let answer = try running.post(path, "{\(Self.body)}").json
      #expect(answer["id"] == "rerank-one" && answer["model"] == "encoder")
      let results = answer["results"]?.array ?? []
      #expect(results.map { $0["index"]?.integer } == order)
      #expect(results.map { $0["relevance_score"]?.double } == order.map { cosines[$0] })
      #expect(results.map { $0["document"]?["text"]?.string } == order.map { Self.documents[$0] })
      let tokens = try running.post(
        "/v1/embeddings", #"{"model":"encoder","input":["cats","the cat sat","stocks fell","a cat"]}"#
      ).json["usage"]
      #expect(answer["usage"] == tokens)
    }
  }

  @Test("top_n takes the best, and texts may be left out")
  func choices() throws {
    let all = try running.post("/v1/rerank", "{\(Self.body)}").json["results"]?.array ?? []
    let best = try running.post("/v1/rerank", #"{"top_n":2,"return_documents":false,\#(Self.body)}"#).json["results"]
    #expect(
      best
        == .array(
          all.prefix(2).map { ["index": $0["index"] ?? nil, "relevance_score": $0["relevance_score"] ?? nil] }))
    #expect(try running.post("/v1/rerank", #"{"top_n":0,\#(Self.body)}"#).json["results"]?.array == all)
    #expect(try running.post("/v1/rerank", #"{"top_n":9,\#(Self.body)}"#).json["results"]?.array == all)
  }

  @Test("language models rank nothing, and what is wrong has its field")
  func refusals() throws {
    for (body, parameter, code) in [
      (#""query":"a","documents":["b"]"#, "model", "invalid_value"),
      (#""model":"encoder","query":"a""#, "documents", "missing_required_parameter"),
      (#""model":"encoder","query":"a","documents":[]"#, "documents", "invalid_value"),
      (#""model":"encoder","query":"a","documents":[5]"#, "documents[0]", "invalid_type"),
      (
        #""model":"encoder","query":"a","documents":[{"text":"b","title":"c"}]"#, "documents[0].title",
        "unknown_parameter"
      ),
      (
        #""model":"encoder","query":"a","documents":["b","\#(String(repeating: "x ", count: 3000))"]"#, "documents[1]",
        "context_length_exceeded"
      ),
    ] {
      #expect(try running.post("/v1/rerank", "{\(body)}").error == (400, parameter, code), "\(body.prefix(80))")
    }
    let cut =
      #""truncate_prompt_tokens":8,"model":"encoder","query":"a","documents":["\#(String(repeating: "x ", count: 3000))"]"#
    #expect(try running.post("/v1/rerank", "{\(cut)}").status == 200)
  }
}
