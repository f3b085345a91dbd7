/** What resources cost, by a table with its date: what it does not know is said to be unknown, never nought. */
import table from './prices.json' with { type: 'json' }

export const HOURS_A_MONTH = 730

export interface Priced {
  readonly type: string
  readonly values: Readonly<Record<string, unknown>>
}

export interface CostLine {
  readonly what: string
  readonly count: number
  /** US dollars a month for all of them; undefined: not in the table. */
  readonly monthly: number | undefined
  /** What the same would cost On-Demand, where it is Spot. */
  readonly onDemand?: number | undefined
}

export interface Estimate {
  readonly date: string
  readonly lines: readonly CostLine[]
  /** Of what is known. */
  readonly monthly: number
  readonly spotSaving: number
  readonly unknown: readonly string[]
}

/** Of what runs by the hour or the month. What is used, traffic, requests and logs, no plan knows. */
export function estimateOf(resources: readonly Priced[], region: string): Estimate {
  const lines = merged(resources.flatMap((resource) => linesOf(resource, region)))
  const sum = (of: (line: CostLine) => number) => Math.round(lines.reduce((total, line) => total + of(line), 0) * 100) / 100
  return {
    date: table.date,
    lines,
    monthly: sum(({ monthly = 0 }) => monthly),
    spotSaving: sum(({ monthly, onDemand }) => (monthly === undefined || onDemand === undefined ? 0 : onDemand - monthly)),
    unknown: [...lines.filter(({ monthly }) => monthly === undefined).map(({ what }) => what), 'traffic, logs and stored images'],
  }
}

type Hours = Readonly<Record<string, number>>

function linesOf({ type, values }: Priced, region: string): CostLine[] {
  const known = region === table.region
  const hourly = (what: string, price: number | undefined, count = 1): CostLine => ({
    what,
    count,
    monthly: known ? times(price, count * HOURS_A_MONTH) : undefined,
  })
  const monthly = (what: string, price: number, count = 1): CostLine => ({ what, count, monthly: known ? price * count : undefined })
  const hour: Hours = table.hour
  if (type === 'aws_eks_cluster') return [hourly('control plane', hour.cluster)]
  if (type === 'aws_nat_gateway') return [hourly('NAT gateway', hour.nat)]
  if (type === 'aws_eip') return [hourly('public address', hour.address)]
  if (type === 'aws_kms_key') return [monthly('key', table.month.key)]
  if (type === 'aws_lb') return [hourly('load balancer', hour.loadBalancer)]
  if (type === 'aws_ebs_volume') return [monthly(`${values.size} GB volume`, table.month.gp3GB, Number(values.size))]
  if (type === 'aws_db_instance') {
    return [hourly(`database ${values.instance_class}`, hour[String(values.instance_class)])]
  }
  return type === 'aws_eks_node_group' ? nodesOf(values, known) : []
}

interface Group {
  readonly capacity_type?: string
  readonly instance_types?: readonly string[]
  readonly scaling_config?: readonly { readonly desired_size?: number }[]
}

/** By the dearest of the types that a group may be given, at the size that it begins with. */
function nodesOf(values: Readonly<Record<string, unknown>>, known: boolean): CostLine[] {
  const { capacity_type, instance_types = [], scaling_config } = values as Group
  const count = scaling_config?.[0]?.desired_size ?? 0
  const isSpot = capacity_type === 'SPOT'
  const hour: Hours = table.hour
  const prices = instance_types.map((type) => hour[type])
  const dearest = prices.length === 0 || prices.includes(undefined) ? undefined : Math.max(...prices.map((price = 0) => price))
  const onDemand = known ? times(dearest, count * HOURS_A_MONTH) : undefined
  const monthly = isSpot ? times(onDemand, table.spotShare) : onDemand
  const what = `${isSpot ? 'Spot' : 'On-Demand'} node (${instance_types.join(' or ')})`
  return [{ what, count, monthly, ...(isSpot ? { onDemand } : {}) }]
}

const times = (price: number | undefined, by: number) => (price === undefined ? undefined : price * by)

function merged(lines: readonly CostLine[]): CostLine[] {
  const byName = new Map<string, CostLine>()
  for (const line of lines) {
    const before = byName.get(line.what)
    const monthly =
      before === undefined || before.monthly === undefined || line.monthly === undefined ? line.monthly : before.monthly + line.monthly
    byName.set(line.what, { ...line, count: (before?.count ?? 0) + line.count, monthly })
  }
  return [...byName.values()]
}

export function renderEstimate({ date, lines, monthly, spotSaving, unknown }: Estimate): string[] {
  const money = (value: number | undefined) => (value === undefined ? 'unknown' : `$${value.toFixed(2)}`)
  return [
    `Cost a month, by list prices of ${date}:`,
    ...lines.map(({ what, count, monthly: cost }) => `  ${money(cost).padStart(9)}  ${count} × ${what}`),
    `  ${money(monthly).padStart(9)}  together${spotSaving > 0 ? `; Spot saves about ${money(spotSaving)}` : ''}; unknown: ${unknown.join(', ')}`,
  ]
}
