/** The policies of the environments on objects that no API server has seen yet: the same CEL, evaluated here. */
import { Environment } from '@marcbachmann/cel-js'
import type { KubeObject } from '#kit/kube'
import type { Policy } from './policies.ts'

export interface Refusal {
  readonly policy: string
  readonly message: string
}

interface Spec {
  readonly matchConstraints: { readonly resourceRules: readonly { readonly resources: readonly string[] }[] }
  readonly variables?: readonly { readonly name: string; readonly expression: string }[]
  readonly validations: readonly { readonly expression: string; readonly messageExpression?: string; readonly message: string }[]
}

/**
 * What the API server would refuse on creation. What a policy does not look at it does not refuse: a Rollout of ours names the Deployment
 * that holds its pods.
 */
export function judgeObject(object: KubeObject, policies: readonly Policy[]): Refusal[] {
  return policies.flatMap(({ name, objects }) => {
    const spec = objects.find(({ kind }) => kind === 'ValidatingAdmissionPolicy')?.spec as Spec | undefined
    if (spec === undefined) throw new Error(`chart/policies/${name}.yaml holds no ValidatingAdmissionPolicy`)
    const looksAt = spec.matchConstraints.resourceRules.flatMap(({ resources }) => resources)
    return looksAt.includes(`${object.kind.toLowerCase()}s`) ? refusals(object, spec).map((message) => ({ policy: name, message })) : []
  })
}

function refusals(object: KubeObject, { variables = [], validations }: Spec): string[] {
  const environment = new Environment({ unlistedVariablesAreDyn: true, enableOptionalTypes: true })
  const values: Record<string, unknown> = {}
  const evaluate = (expression: string) => environment.evaluate(expression, { object, variables: values })
  for (const { name, expression } of variables) values[name] = evaluate(expression)
  return validations
    .filter(({ expression }) => evaluate(expression) !== true)
    .map(({ message, messageExpression }) => String(messageExpression === undefined ? message : evaluate(messageExpression)))
}
