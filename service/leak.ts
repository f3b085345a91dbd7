/** Resident memory that is taken on purpose: what the kernel counts, and V8's heap limit does not. */

const MIB = 1024 ** 2
const TICK_MS = 100
/** Whole pages, and few of them: each piece has a mapping of its own. */
const LEAST_BYTES = MIB / 16

/** Takes memory at that rate and holds it until `signal` aborts; then it is the system's again at once. */
export function leak(mibPerS: number, signal: AbortSignal): void {
  const held: ArrayBuffer[] = []
  const startedMs = performance.now()
  let heldBytes = 0
  const timer = setInterval(() => {
    const owedBytes = Math.floor((mibPerS * MIB * (performance.now() - startedMs)) / 1000) - heldBytes
    if (owedBytes < LEAST_BYTES) return
    held.push(take(owedBytes))
    heldBytes += owedBytes
  }, TICK_MS).unref()
  signal.addEventListener('abort', () => {
    clearInterval(timer)
    // Only letting go would leave it to a collection that an idle process does not need.
    for (const buffer of held) buffer.resize(0)
  })
}

/** Written to, since the kernel gives no page that was never touched; resizable, since only that has pages of its own. */
function take(bytes: number): ArrayBuffer {
  const buffer = new ArrayBuffer(bytes, { maxByteLength: bytes })
  new Uint8Array(buffer).fill(1)
  return buffer
}
