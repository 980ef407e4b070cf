import AngelHCF
import Glibc

/// Prometheus's text format, put together family by family.
struct MetricsPage {
  private var families: [String: [String]] = [:]
  private var order: [String] = []

  var text: String { order.flatMap { families[$0] ?? [] }.joined(separator: "\n") + "\n" }

  private mutating func add(_ name: String, _ type: String, _ help: String, _ lines: [String]) {
    if families[name] == nil {
      families[name] = ["# HELP \(name) \(help)", "# TYPE \(name) \(type)"]
      order.append(name)
    }
    families[name]?.append(contentsOf: lines)
  }

  private static func line(_ name: String, _ labels: String, _ value: Double) -> String {
    let number = Int(exactly: value).map { "\($0)" } ?? "\(value)"
    return labels.isEmpty ? "\(name) \(number)" : "\(name){\(labels)} \(number)"
  }

  mutating func gauge(_ name: String, _ help: String, _ labels: String, _ value: Double) {
    add(name, "gauge", help, [Self.line(name, labels, value)])
  }

  mutating func counter(_ name: String, _ help: String, _ labels: String, _ value: Double) {
    add(name, "counter", help, [Self.line(name, labels, value)])
  }

  private mutating func histogram(_ name: String, _ help: String, _ labels: String, _ histogram: Histogram) {
    add(name, "histogram", help, histogram.lines(name, labels))
  }

  /// What the engine counts.
  mutating func add(_ s: ServingStatistics, labels: String) {
    gauge("vllm:num_requests_running", "Requests in the batch.", labels, Double(s.running))
    gauge("vllm:num_requests_waiting", "Requests in the queue.", labels, Double(s.waiting))
    let usage = s.blockLimit > 0 ? Double(s.blocksInUse) / Double(s.blockLimit) : 0
    gauge("vllm:kv_cache_usage_perc", "Share of the cache in use by requests; 1 is all.", labels, usage)
    gauge("angel:kv_cache_blocks_in_use", "Blocks of the cache in use by requests.", labels, Double(s.blocksInUse))
    gauge("angel:kv_cache_blocks_kept", "Blocks kept for their prefixes only.", labels, Double(s.blocksKept))
    counter("vllm:prompt_tokens_total", "Tokens of prompts.", labels, Double(s.promptTokens))
    counter("vllm:generation_tokens_total", "Tokens of answers.", labels, Double(s.generatedTokens))
    counter("vllm:prefix_cache_queries_total", "Tokens looked up in the cache.", labels, Double(s.prefixQueriedTokens))
    counter("vllm:prefix_cache_hits_total", "Tokens found in the cache.", labels, Double(s.prefixHitTokens))
    counter("vllm:num_preemptions_total", "Requests that gave up their place.", labels, Double(s.preemptions))
    counter("vllm:spec_decode_num_draft_tokens_total", "Tokens guessed.", labels, Double(s.guessedTokens))
    counter(
      "vllm:spec_decode_num_accepted_tokens_total", "Guessed tokens that were drawn.", labels,
      Double(s.acceptedTokens))
    counter("angel:model_seconds_total", "Seconds the engine spent on the model.", labels, s.modelSeconds)
    counter("angel:scheduling_seconds_total", "Seconds it spent on everything else.", labels, s.schedulingSeconds)
    counter(
      "angel:scheduling_cpu_seconds_total", "CPU seconds of its thread in that time.", labels, s.schedulingCPUSeconds)
  }

  /// What the server counts of a model.
  mutating func add(_ c: ServerMetrics.ModelCounts, labels: String) {
    for (reason, count) in c.finished.sorted(by: { $0.key < $1.key }) {
      counter(
        "vllm:request_success_total", "Answers by how they ended.", "\(labels),finished_reason=\"\(reason)\"",
        Double(count))
    }
    for (reason, count) in c.refused.sorted(by: { $0.key < $1.key }) {
      counter(
        "vllm:admission_rejections_total", "Requests refused at the door.", "\(labels),reason=\"\(reason)\"",
        Double(count))
    }
    let seconds: [(String, String, Histogram)] = [
      ("time_to_first_token", "From arrival to the first token.", c.firstToken),
      ("inter_token_latency", "Between two tokens of an answer.", c.betweenTokens),
      ("request_time_per_output_token", "Mean between two tokens, by request.", c.perToken),
      ("e2e_request_latency", "From arrival to the end.", c.endToEnd),
      ("request_queue_time", "From arrival to the first work.", c.queued),
      ("request_prefill_time", "From the first work to the first token.", c.prefill),
      ("request_decode_time", "From the first token to the end.", c.decode),
      ("request_inference_time", "From the first work to the end.", c.inference),
    ]
    for (name, help, values) in seconds { histogram("vllm:\(name)_seconds", help + " Seconds.", labels, values) }
    histogram("vllm:request_prompt_tokens", "Tokens of a prompt.", labels, c.promptTokens)
    histogram("vllm:request_generation_tokens", "Tokens of a request's answers.", labels, c.answerTokens)
    histogram("vllm:request_params_n", "Answers asked for.", labels, c.answers)
    histogram("vllm:request_params_max_tokens", "The longest answer asked for.", labels, c.longestAnswer)
  }

  /// Memory and CPU time of the process, under the usual names.
  mutating func addProcess() {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
    counter(
      "process_cpu_seconds_total", "CPU time of all threads.", "", seconds(usage.ru_utime) + seconds(usage.ru_stime))
    gauge("process_max_resident_memory_bytes", "The most memory held so far.", "", Double(usage.ru_maxrss) * 1024)
  }
}
