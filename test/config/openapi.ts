/** Objects against the schemas of the Kubernetes that the node runs. */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import type { KubeObject } from '#kit/kube'
import { createOnce } from '#kit/limit'
import { createSchemas } from '#kit/schemas'

export interface Validator {
  /** What the API server would refuse or drop: `spec.replicas must be integer`. @throws where it knows no such kind. */
  problemsOf(object: KubeObject): Promise<string[]>
}

/** @param definitions CustomResourceDefinitions of the kinds that Kubernetes itself does not have */
export async function createValidator(definitions: readonly KubeObject[]): Promise<Validator> {
  const schemaOf = await createSchemas(definitions)
  const once = createOnce<ValidateFunction>()
  // Formats say how wide a number is, and extensions of Kubernetes stand between the keywords.
  const compile = async (object: KubeObject) =>
    new Ajv({ allErrors: true, strict: false, validateFormats: false }).compile(await schemaOf(object))
  return {
    problemsOf: async (object) => {
      const validate = await once(`${object.apiVersion} ${object.kind}`, () => compile(object))
      return validate(object) ? [] : (validate.errors ?? []).map(problemOf)
    },
  }
}

/** The path as a person writes it, and what is wrong there. */
function problemOf({ instancePath, keyword, params, message }: ErrorObject): string {
  const path = instancePath
    .split('/')
    .slice(1)
    .map((each) => each.replaceAll('~1', '/').replaceAll('~0', '~'))
  if (keyword === 'additionalProperties') return `${[...path, params.additionalProperty].join('.')} is not a field`
  if (keyword === 'enum') return `${path.join('.')} must be one of ${params.allowedValues.join(', ')}`
  return `${path.join('.') || 'the object'} ${message}`
}
