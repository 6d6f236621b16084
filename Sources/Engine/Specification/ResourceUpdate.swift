import Errors

extension Resources {
  /// These limits with those that `update` names changed (Docker's `POST /containers/{id}/update`).
  ///
  /// - Throws: `conflict` where a limit asked for and one that stays exclude each other.
  public func updated(with update: Resources) throws(ApusError) -> Resources {
    func conflict(_ sentence: String) -> ApusError { ApusError(.conflict, sentence) }
    func set(_ value: Int64?) -> Int64? { value.flatMap { $0 == 0 ? nil : $0 } }
    if set(update.nanoCPUs) != nil, set(cpuPeriod) != nil {
      throw conflict("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set")
    }
    if set(update.nanoCPUs) != nil, set(cpuQuota) != nil {
      throw conflict("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set")
    }
    if set(update.cpuPeriod) != nil, set(nanoCPUs) != nil {
      throw conflict("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set")
    }
    if set(update.cpuQuota) != nil, set(nanoCPUs) != nil {
      throw conflict("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set")
    }
    var result = self
    if let weight = update.blkioWeight, weight != 0 { result.blkioWeight = weight }
    result.cpuShares = set(update.cpuShares) ?? cpuShares
    result.nanoCPUs = set(update.nanoCPUs) ?? nanoCPUs
    result.cpuPeriod = set(update.cpuPeriod) ?? cpuPeriod
    result.cpuQuota = set(update.cpuQuota) ?? cpuQuota
    result.cpuRealtimePeriod = set(update.cpuRealtimePeriod) ?? cpuRealtimePeriod
    result.cpuRealtimeRuntime = set(update.cpuRealtimeRuntime) ?? cpuRealtimeRuntime
    if let set = update.cpusetCPUs, !set.isEmpty { result.cpusetCPUs = set }
    if let set = update.cpusetMems, !set.isEmpty { result.cpusetMems = set }
    if let memory = set(update.memory) {
      // Lowering swap below memory on the way, or raising memory above swap, is what the kernel refuses.
      if set(update.memorySwap) == nil, let swap = memorySwap, swap > 0, memory > swap {
        throw conflict(
          "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
      }
      result.memory = memory
    }
    result.memorySwap = set(update.memorySwap) ?? memorySwap
    result.memoryReservation = set(update.memoryReservation) ?? memoryReservation
    if let limit = update.pidsLimit { result.pidsLimit = limit }
    if !update.blkioWeightDevices.isEmpty { result.blkioWeightDevices = update.blkioWeightDevices }
    if !update.blkioReadBps.isEmpty { result.blkioReadBps = update.blkioReadBps }
    if !update.blkioWriteBps.isEmpty { result.blkioWriteBps = update.blkioWriteBps }
    if !update.blkioReadIOPS.isEmpty { result.blkioReadIOPS = update.blkioReadIOPS }
    if !update.blkioWriteIOPS.isEmpty { result.blkioWriteIOPS = update.blkioWriteIOPS }
    return result
  }
}
