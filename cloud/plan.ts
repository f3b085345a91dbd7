/** A plan as `terraform show -json` writes it, as far as it is read here: https://developer.hashicorp.com/terraform/internals/json-format */

export type Action = 'no-op' | 'create' | 'read' | 'update' | 'delete'
type Values = Readonly<Record<string, unknown>>

export interface ResourceChange {
  /** `module.network.aws_vpc.this` */
  readonly address: string
  readonly mode: 'managed' | 'data'
  readonly type: string
  readonly name: string
  readonly index?: string | number
  /** Why it is replaced or deleted, in Terraform's words: `replace_because_cannot_update`, … */
  readonly action_reason?: string
  readonly change: {
    readonly actions: readonly Action[]
    readonly before: Values | null
    /** What is not known before apply is missing here and true in `after_unknown`. */
    readonly after: Values | null
    readonly after_unknown?: Values
    /** The attributes that force a replacement. */
    readonly replace_paths?: readonly (readonly (string | number)[])[]
  }
}

export interface PlanJson {
  readonly format_version: string
  readonly resource_changes?: readonly ResourceChange[]
  readonly output_changes?: Readonly<Record<string, { readonly actions: readonly Action[]; readonly after?: unknown }>>
  readonly variables?: Readonly<Record<string, { readonly value: unknown }>>
}

export type Effect = 'made' | 'changed' | 'replaced' | 'destroyed'

/** What a plan does to a resource; undefined where it does nothing to it. */
export function effectOf({ mode, change: { actions } }: Pick<ResourceChange, 'mode' | 'change'>): Effect | undefined {
  if (mode === 'data') return undefined
  const has = (action: Action) => actions.includes(action)
  if (has('create')) return has('delete') ? 'replaced' : 'made'
  if (has('delete')) return 'destroyed'
  return has('update') ? 'changed' : undefined
}

/** The changes of each effect. */
export function effectsOf({ resource_changes = [] }: PlanJson): Readonly<Record<Effect, readonly ResourceChange[]>> {
  const of = (effect: Effect) => resource_changes.filter((change) => effectOf(change) === effect)
  return { made: of('made'), changed: of('changed'), replaced: of('replaced'), destroyed: of('destroyed') }
}
