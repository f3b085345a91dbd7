/**
 * What proofs showed of an image, as an in-toto statement: https://github.com/in-toto/attestation/blob/main/spec/predicates/test-result.md.
 * Pure but for its signature.
 */
import { sha256 } from '#kit/hash'
import type { Signing } from '#kit/signing'
import { aboutImage, type Believed, type InToto, openAttestation, PREDICATES } from './attestation.ts'
import type { Environment } from './environments.ts'
import { type BuiltImage, shortDigest } from './history.ts'
import { isGood, type Result } from './render.ts'
import type { Verdict } from './scenario.ts'
import type { Digest } from './types.ts'

/** One proof of one digest. */
export interface ProvenProof {
  readonly name: string
  readonly verdict: Verdict
  readonly startedAt: string
  /** SHA-256 of its record, in hex. */
  readonly record: string
}

export interface Proven {
  readonly environment: Environment
  readonly image: BuiltImage
  readonly proofs: readonly ProvenProof[]
  /** The commit of `deploy` that the environment ran by. */
  readonly deploy: string
}

export interface Statement extends InToto {
  readonly predicate: {
    readonly result: 'PASSED' | 'WARNED' | 'FAILED'
    readonly configuration: readonly { readonly name: string; readonly digest: Readonly<Record<string, string>> }[]
    readonly passedTests: readonly string[]
    readonly failedTests: readonly string[]
    /** An extension: where it was shown, and by which records. */
    readonly holdfast: { readonly environment: Environment; readonly proofs: readonly ProvenProof[] }
  }
}

export function statementOf({ environment, image, proofs, deploy }: Proven): Statement {
  const named = (held: boolean) => [...new Set(proofs.filter(({ verdict }) => (verdict === 'held') === held).map(({ name }) => name))]
  const failedTests = named(false)
  return {
    ...aboutImage(image),
    predicateType: PREDICATES['test-result'],
    predicate: {
      result: failedTests.length === 0 ? 'PASSED' : 'FAILED',
      configuration: [{ name: 'deploy', digest: { gitCommit: deploy } }],
      passedTests: named(true).filter((name) => !failedTests.includes(name)),
      failedTests,
      holdfast: { environment, proofs },
    },
  }
}

export interface TrustedFor {
  /** SHA-256 of the signed bundle, as `deploy` points to it. */
  readonly pointer: Digest
  readonly environment: Environment
  readonly digest: Digest
  readonly signing: Signing
}

/** Opens what `attest` made of a statement. @returns why it is not to be trusted, or the statement. */
export async function openStatement(bundle: string, { pointer, environment, digest, signing }: TrustedFor): Promise<Believed<Statement>> {
  const found = `sha256:${sha256(bundle)}`
  if (found !== pointer) return { refused: `its bytes are ${shortDigest(found)}, and deploy points to ${shortDigest(pointer)}` }
  const believed = await openAttestation(bundle, digest, signing)
  if ('refused' in believed) return believed
  const { statement } = believed
  if (!isTestResult(statement)) return { refused: 'it is no test-result statement of in-toto' }
  const { result, holdfast } = statement.predicate
  if (holdfast.environment !== environment) return { refused: `it was made in '${holdfast.environment}', not in '${environment}'` }
  return result === 'PASSED' ? { statement } : { refused: `its result is ${result}` }
}

/** Of those required, the proofs that a statement does not say to have held. */
export function missingProofs({ predicate }: Statement, required: readonly string[]): string[] {
  const { passedTests, failedTests, holdfast } = predicate
  const held = (name: string) => {
    const runs = holdfast.proofs.filter((proof) => proof.name === name)
    return runs.length > 0 && runs.every(({ verdict }) => verdict === 'held') && passedTests.includes(name) && !failedTests.includes(name)
  }
  return required.filter((name) => !held(name))
}

/** Only what is read of it is looked at. */
function isTestResult(statement: InToto): statement is Statement {
  const { passedTests, failedTests, holdfast } = (statement.predicate ?? {}) as Partial<Statement['predicate']>
  const lists: unknown[] = [passedTests, failedTests, holdfast?.proofs]
  return statement.predicateType === PREDICATES['test-result'] && lists.every(Array.isArray)
}

// ── From results ────────────────────────────────────────────────────────────────────────────────────────────────────

/** What results show of one digest, or why they show nothing. */
export type Shown = { readonly digest: Digest; readonly results: readonly Result[] } | { readonly why: string }

/** All runs count: one that was red is not outweighed by another. Undefined where not all that is required was run. */
export function shownBy(results: readonly Result[], required: readonly string[]): Shown | undefined {
  const runs = results.filter(({ mutant, scenario }) => mutant === undefined && required.includes(scenario.name))
  if (required.length === 0 || required.some((name) => !runs.some(({ scenario }) => scenario.name === name))) return undefined
  const red = [...new Set(runs.filter((result) => !isGood(result)).map(({ scenario }) => scenario.name))]
  if (red.length > 0) return { why: `${red.join(', ')} did not hold` }
  const [digest, ...others] = new Set(runs.map(({ record }) => record.digest))
  if (digest === undefined || others.length > 0) return { why: 'the environment did not run one digest throughout' }
  return { digest, results: runs }
}

export function provenProof({ record, judgement }: Result, recordContent: string): ProvenProof {
  return { name: record.scenario, verdict: judgement.verdict, startedAt: record.startedAt, record: sha256(recordContent) }
}
