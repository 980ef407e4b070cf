import Glibc

/// CPU time of the calling thread: what it has computed, however busy the machine is.
public enum ThreadClock {
  public static func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
