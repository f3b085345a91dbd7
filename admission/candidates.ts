/** Digests that somebody could want to run in prod, and what the API server answers. Nothing runs: all of admission is asked, and no more. */
import {
  aboutImage,
  type Context,
  type InToto,
  imageRunning,
  marked,
  PREDICATES,
  type RunningImage,
  readAttestations,
  storeVariant,
  workloadIn,
} from '#core'
import { Failure, messageOf } from '#kit/errors'
import { KubeError, type KubeObject } from '#kit/kube'
import { type Envelope, replaceEnvelopes } from '#kit/registry'
import { envelopeOf, type Signing } from '#kit/signing'

export const PROMOTED = 'promoted'
/** Each has what the promoted one has, but for what its name says; with the words by which the program refuses just that. */
export const REFUSED = {
  unsigned: /no matching attestations:(?! *\w)/,
  tampered: /no matching attestations: accepted signatures do not match threshold, Found: 0/,
  'of another digest': /no matching attestations: no matching subject digest found/,
  unproven: /failed evaluating rego policy for type test-result/,
} as const
export type Refused = keyof typeof REFUSED
export type Candidate = Refused | typeof PROMOTED
const ALL_REFUSED = Object.keys(REFUSED) as readonly Refused[]

export type Digests = Readonly<Record<Candidate, string>>

/** What was said: whether it may run, and the refusal. */
export interface Answer {
  readonly admitted: boolean
  readonly why?: string
}

/** Puts the refused ones into the registry, beside the promoted one. Made again, they have the same digests. */
export async function putCandidates(context: Context, signing: Signing): Promise<Digests> {
  const promoted = await imageRunning(context, context.environment)
  // Only what is believed of it: what a key of before has signed would be refused for its signature, whatever else is made of it.
  const attestations = await readAttestations({ image: promoted, signing })
  const statements = attestations.flatMap(({ believed }) => ('statement' in believed ? [believed.statement] : []))
  if (statements.length === 0)
    throw new Failure({ what: 'Cannot make digests that are to be refused', why: 'nothing believed is attached to the one that runs' })
  const digests: Record<string, string> = { [PROMOTED]: promoted.digest }
  for (const name of ALL_REFUSED) {
    const mark = `admission-${name.replaceAll(' ', '-')}`
    const image = { ...promoted, digest: await storeVariant(context, context.environment, { name: mark, change: marked(mark) }) }
    if (name !== 'unsigned') {
      const forge = async (statement: InToto) => FORGERIES[name](statement, image, signing)
      await replaceEnvelopes(image, await Promise.all(statements.map(forge)))
    }
    digests[name] = image.digest
  }
  return digests as Digests
}

type Forgery = (statement: InToto, image: RunningImage, signing: Signing) => Promise<Envelope>

const FORGERIES: Readonly<Record<Exclude<Refused, 'unsigned'>, Forgery>> = {
  'of another digest': async (statement, _image, signing) => signed(statement, signing),
  async tampered(statement, image, signing) {
    const envelope = await signed(statement, signing)
    const payload = Buffer.from(JSON.stringify({ ...statement, ...aboutImage(image) })).toString('base64')
    return { ...envelope, content: JSON.stringify({ ...JSON.parse(envelope.content), payload }) }
  },
  unproven: async (statement, image, signing) => signed(withoutProofs({ ...statement, ...aboutImage(image) }), signing),
}

async function signed(statement: InToto, signing: Signing): Promise<Envelope> {
  return { content: envelopeOf(await signing.sign(JSON.stringify(statement))), predicateType: statement.predicateType }
}

/** As a run says that held, of proofs that nobody asked for. */
function withoutProofs(statement: InToto): InToto {
  if (statement.predicateType !== PREDICATES['test-result']) return statement
  return { ...statement, predicate: { ...(statement.predicate as object), passedTests: [] } }
}

/** Asks for a pod as the workload's own are, with this digest. @throws Failure where there is no workload */
export async function askFor({ cluster: { kube }, environment }: Context, digest: string): Promise<Answer> {
  const spec: KubeObject | undefined = (await kube.get(workloadIn(environment)))?.spec.template.spec
  const [container] = spec?.containers ?? []
  if (container === undefined) throw new Failure({ what: 'Cannot ask for a pod', why: `${environment} has no workload` })
  const containers = [{ ...container, image: `${container.image.split('@')[0]}@${digest}` }]
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'admission', namespace: environment }, spec: { ...spec, containers } }
  try {
    await kube.dryRun(pod)
    return { admitted: true }
  } catch (thrown) {
    if (!(thrown instanceof KubeError)) throw thrown
    return { admitted: false, why: messageOf(thrown) }
  }
}
