/** Environments: where the service runs, in the order in which a version moves through them. */
import { unknownName } from '#kit/pick'

export const ENVIRONMENTS = ['dev', 'staging', 'prod'] as const
export type Environment = (typeof ENVIRONMENTS)[number]

/** Where every version begins: it follows the working tree. */
export const FIRST_ENVIRONMENT: Environment = 'dev'

/** @throws UserError with the nearest name for one that is not known; `what` says what could not be done. */
export function parseEnvironment(text: string, what: string): Environment {
  const found = ENVIRONMENTS.find((each) => each === text)
  if (found !== undefined) return found
  throw unknownName(text, ENVIRONMENTS, { what, why: `there is no environment '${text}'` })
}

/** The one that a version comes from; undefined for the first. */
export function environmentBefore(environment: Environment): Environment | undefined {
  return ENVIRONMENTS[ENVIRONMENTS.indexOf(environment) - 1]
}

/** What belongs to a part in an environment: the first one's is called as the part, the others' carry their environment. */
export function nameIn(environment: Environment, part: string): string {
  return environment === FIRST_ENVIRONMENT ? part : `${part}-${environment}`
}
