/// How the inputs of layers are scaled before weights are rounded, channel by channel: divided by s where they are made, which the
/// columns of the layers that read them are multiplied by (`FoldingPlan`).
public enum ChannelScaling: Sendable {
  /// s = mean|x|^a: columns that meet large inputs become large, and so lose less in rounding. The a of each fold is the one
  /// whose outputs come out best (AWQ, arXiv:2306.00978, §3.2).
  case awareOfInputs
  /// s = max|x|^a / max|w|^(1-a): inputs that stick out come nearer to the rest, for products in which inputs are rounded too
  /// (SmoothQuant, arXiv:2211.10438, §4). The a of each fold is the one whose products in int8 come out best.
  case smooth
}
