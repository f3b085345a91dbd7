/** What k6 runs in the cluster, for every profile. It tells one line for each request: judging is not its work. */
import { scenario } from 'k6/execution'
import { get } from 'k6/http'
import type { Plan, PlannedRequest } from './plan.ts'

declare function open(path: string): string

const plan: Plan = JSON.parse(open('./plan.json'))
export const options = plan.options

/** Spreads evenly whatever the shares are, where chance would come in lumps, and cycles would beat with other cycles. */
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2

function pick(requests: readonly PlannedRequest[], iteration: number): PlannedRequest {
  const at = (iteration * GOLDEN_RATIO) % 1
  return requests.find(({ upTo }) => at < upTo) as PlannedRequest
}

/** One request. k6 calls it for each iteration. */
export default function request(): void {
  const { name, iterationInTest } = scenario
  const { path, headers, expect } = pick(plan.stages[name] ?? [], iterationInTest)
  const beganMs = Date.now()
  const { status, headers: answered, error } = get(plan.target + path, { headers, timeout: plan.timeoutMs })
  const endedMs = Date.now()
  const line = [endedMs, name, status, endedMs - beganMs, answered['X-Pod'] ?? '', answered['X-Version'] ?? '', status === expect, error]
  console.log(JSON.stringify(line))
}

interface Summary {
  readonly metrics: Readonly<Record<string, { readonly values: { readonly count: number } }>>
}

/** k6 calls it once, at the end. */
export function handleSummary({ metrics }: Summary): { readonly stdout: string } {
  const count = (name: string) => metrics[name]?.values.count ?? 0
  const counts = { requests: count('http_reqs'), iterations: count('iterations'), dropped: count('dropped_iterations') }
  return { stdout: `${JSON.stringify(counts)}\n` }
}
