/** Digests that somebody could want to run in prod, and what the API server answers. Nothing runs: all of admission is asked, and no more. */
import { aboutImage, type Context, type InToto, imageRunning, marked, PREDICATES, type RunningImage, storeVariant, workloadIn } from '#core'
import { Failure, messageOf } from '#kit/errors'
import { KubeError, type KubeObject } from '#kit/kube'
import { type Envelope, readEnvelopes, replaceEnvelopes } from '#kit/registry'
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
  const good = await readEnvelopes(promoted)
  if (good.length === 0)
    throw new Failure({ what: 'Cannot make digests that are to be refused', why: 'nothing is attached to the one that runs' })
  const digests: Record<string, string> = { [PROMOTED]: promoted.digest }
  for (const name of ALL_REFUSED) {
    const mark = `admission-${name.replaceAll(' ', '-')}`
    const image = { ...promoted, digest: await storeVariant(context, context.environment, { name: mark, change: marked(mark) }) }
    if (name !== 'unsigned') await replaceEnvelopes(image, await envelopesFor(name, image, { good, signing }))
    digests[name] = image.digest
  }
  return digests as Digests
}

async function envelopesFor(
  name: Exclude<Refused, 'unsigned'>,
  image: RunningImage,
  { good, signing }: { readonly good: readonly Envelope[]; readonly signing: Signing },
): Promise<readonly Envelope[]> {
  switch (name) {
    case 'of another digest':
      return good
    case 'tampered':
      return good.map((each) => withStatement(each, (statement) => ({ ...statement, ...aboutImage(image) })))
    case 'unproven': {
      const said = good.map((each) => ({ ...statementIn(each), ...aboutImage(image) })).map(withoutProofs)
      return Promise.all(said.map(async (each) => signed(each, signing)))
    }
  }
}

async function signed(statement: InToto, signing: Signing): Promise<Envelope> {
  return { content: envelopeOf(await signing.sign(JSON.stringify(statement))), predicateType: statement.predicateType }
}

/** As a run says that held, of proofs that nobody asked for. */
function withoutProofs(statement: InToto): InToto {
  if (statement.predicateType !== PREDICATES['test-result']) return statement
  return { ...statement, predicate: { ...(statement.predicate as object), passedTests: [] } }
}

const parsed = ({ content }: Envelope) => JSON.parse(content) as { readonly payload: string }

function statementIn(envelope: Envelope): InToto {
  return JSON.parse(Buffer.from(parsed(envelope).payload, 'base64').toString()) as InToto
}

/** Under the signature of before. */
function withStatement(envelope: Envelope, change: (statement: InToto) => InToto): Envelope {
  const payload = Buffer.from(JSON.stringify(change(statementIn(envelope)))).toString('base64')
  return { ...envelope, content: JSON.stringify({ ...parsed(envelope), payload }) }
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
