/** The guard of prod: what is installed of it, and what its policy lets in, by the program's own judge of policies. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { attest, type Context, type Environment, type ProvenProof, type StoredImage, stackOn, statementOf, type Target } from '#core'
import { exec } from '#kit/exec'
import { goBuild } from '#kit/go'
import type { KubeObject } from '#kit/kube'
import { keySigning, type Signing } from '#kit/signing'
import { type Candidate, PROMOTED, putCandidates, REFUSED } from '../../admission/candidates.ts'
import { admission } from '../../admission/part.ts'
import { policyOf, regoOf } from '../../admission/policy.ts'
import { serviceImage } from '../../chart/part.ts'
import { stack } from '../../holdfast.config.ts'
import { assert, suite } from '../suite.ts'
import { createValidator } from './openapi.ts'
import { pushImage, registryOf, saying } from './registry-fixture.ts'

const test = suite('admission')

const MODULE = { timeoutMs: 300_000 }
/** Minutes of compiling where nothing of it is there. */
const COMPILE = { timeoutMs: 1_800_000 }
const ROUNDS = 20
const ROUNDS_TIMEOUT = { timeoutMs: 600_000 }
const PROOFS = ['smoke', 'good-canary-promoted']
const DIGEST = `sha256:${'a'.repeat(64)}` as const

const { folder, registry } = await registryOf(test, 'admission')
const signing = keySigning(join(folder, 'ours'))
const otherSigning = keySigning(join(folder, 'others'))
const part = admission({
  image: serviceImage,
  signing,
  attested: ['provenance', 'sbom'],
  proofs: PROOFS,
  registry: 'registry.local:5000',
})
let judge: string
test.before(async () => {
  const program = { goMod: 'admission/module', package: 'github.com/sigstore/policy-controller/cmd/tester' }
  judge = await goBuild(program, { os: process.platform, arch: process.arch === 'x64' ? 'amd64' : process.arch })
}, COMPILE)

// ── What is installed ───────────────────────────────────────────────────────────────────────────────────────────────

function target(): Target {
  const images = new Map(part.images.map((spec): [string, StoredImage] => [spec.name, { spec, key: 'k', digest: DIGEST, way: 'built' }]))
  return { cluster: { kind: 'k3s' }, environment: 'dev', repoUrl: 'http://git/x.git', images } as unknown as Target
}

const rendered = async () => (await part.rendered?.(target())) ?? []
const isDefinition = ({ kind }: KubeObject) => kind === 'CustomResourceDefinition'
const ofKind = (objects: readonly KubeObject[], kind: string) => objects.filter((each) => each.kind === kind)

test(
  'all of it is valid, the policy by the definition that the program brings',
  async () => {
    const objects = await rendered()
    const validator = await createValidator(objects.filter(isDefinition))
    for (const object of objects.filter((each) => !isDefinition(each)))
      assert.equal(await validator.problemsOf(object), [], `${object.kind} ${object.metadata.name}`)
    const [policy] = ofKind(objects, 'ClusterImagePolicy')
    const wrong = { ...policy, spec: { ...policy?.spec, authorities: [{ kee: {} }] } } as KubeObject
    assert.equal(await validator.problemsOf(wrong), ['spec.authorities.0.kee is not a field'])
  },
  MODULE,
)

test(
  'its image is named by digest, and it may do no more than it needs',
  async () => {
    const objects = await rendered()
    const [deployment] = ofKind(objects, 'Deployment')
    const [container] = deployment?.spec.template.spec.containers ?? []
    assert.is(container.image, `ghcr.io/sigstore/policy-controller/policy-controller@${DIGEST}`)
    assert.equal(container.args, ['-disable-tuf'])
    const rules = [...ofKind(objects, 'ClusterRole'), ...ofKind(objects, 'Role').filter(({ metadata }) => metadata.namespace === 'prod')]
    const readable = rules.flatMap((role) => role.rules.flatMap((rule: { resources: string[] }) => rule.resources))
    assert.not.ok(readable.includes('secrets'), 'Secrets of others')
    assert.equal(
      ofKind(objects, 'Secret').map(({ data }) => data),
      [undefined],
      'no secret stands in Git',
    )
  },
  MODULE,
)

test(
  'its definitions have one version, which nothing has to convert: who lists all there is never waits for it',
  async () => {
    const definitions = ofKind(await rendered(), 'CustomResourceDefinition')
    assert.equal(definitions.map(({ spec }) => spec.names.kind).toSorted(), ['ClusterImagePolicy', 'TrustRoot'])
    for (const { spec } of definitions) {
      assert.equal([spec.versions.map(({ name }: { name: string }) => name), spec.conversion], [['v1alpha1'], undefined])
      assert.not.match(JSON.stringify(spec), /"description":"/)
    }
  },
  MODULE,
)

test(
  'it guards prod and nothing else, from the first moment on, also while it is not there',
  async () => {
    const [configuration, ...others] = (await rendered()).filter(({ kind }) => kind.endsWith('WebhookConfiguration'))
    const [webhook] = configuration?.webhooks ?? []
    assert.equal([others, configuration?.webhooks.length], [[], 1])
    assert.equal([webhook.failurePolicy, webhook.sideEffects], ['Fail', 'None'])
    // The program puts its own first: in any other order Argo CD and it would never be done with each other.
    assert.equal(webhook.namespaceSelector, {
      matchExpressions: [
        { key: 'webhooks.knative.dev/exclude', operator: 'DoesNotExist' },
        { key: 'kubernetes.io/metadata.name', operator: 'In', values: ['prod'] },
      ],
    })
    const resources = webhook.rules.flatMap((rule: { resources: string[] }) => rule.resources)
    assert.equal([resources[0], resources.length], ['pods/ephemeralcontainers', 9])
  },
  MODULE,
)

test('it is for clusters on this machine: elsewhere it is left out, and holds nothing up', () => {
  const names = (kind: 'k3s' | 'eks') => stackOn(stack, kind).parts.map(({ name }) => name)
  assert.equal([names('k3s').includes(part.name), names('eks').includes(part.name)], [true, false])
})

test(
  'what promote asks for is what is asked for here',
  async () => {
    const guard = stack.parts.find(({ name }) => name === part.name)
    const [policy] = ofKind((await guard?.rendered?.(target())) ?? [], 'ClusterImagePolicy')
    const [{ attestations, key }] = policy?.spec.authorities ?? []
    assert.equal(
      attestations.map(({ name }: { name: string }) => name),
      [...stack.attested.prod, 'test-result'],
    )
    assert.is(attestations.at(-1).policy.data, regoOf({ environment: 'staging', proofs: stack.evidence.staging }))
    assert.is(key?.data, stack.signing.publicKey())
  },
  MODULE,
)

test('an identity is believed in place of a key; nobody, and no proof, is a mistake of ours', () => {
  const identity = { issuer: 'https://issuer', subject: 'https://you/workflow' }
  const wanted = { repository: 'r/x', source: 's/x', attested: [], evidence: { environment: 'staging', proofs: PROOFS } }
  const policy = policyOf({ ...wanted, signing: { publicKey: () => undefined, identity } })
  assert.equal(policy.spec.authorities[0].keyless.identities, [identity])
  assert.throws(() => policyOf({ ...wanted, signing: { publicKey: () => undefined } }), /Nobody is believed/)
  assert.throws(() => policyOf({ ...wanted, signing, evidence: { environment: 'staging', proofs: [] } }), /every statement would do/)
})

// ── What its policy lets in ─────────────────────────────────────────────────────────────────────────────────────────

type Image = Awaited<ReturnType<typeof pushImage>>

const held = (name: string): ProvenProof => ({ name, verdict: 'held', startedAt: '2026-01-01T00:00:00Z', record: 'ab' })
const proven = (image: Image, { environment = 'staging', proofs = PROOFS.map(held) }: Shown = {}) =>
  statementOf({ environment, image, proofs, deploy: 'c'.repeat(40) })
interface Shown {
  readonly environment?: Environment
  readonly proofs?: readonly ProvenProof[]
}

/** All that is asked for, but for what is changed. */
async function vouched(label: string, { by = signing, shown = {} }: { by?: Signing; shown?: Shown } = {}): Promise<Image> {
  const image = await pushImage({ registry: registry.address, name: serviceImage.name }, label)
  const others = (['provenance', 'sbom'] as const).map((name) => saying(image, name))
  for (const statement of [...others, proven(image, shown)]) await attest({ image, signing: by }, statement)
  return image
}

const policyHere = () =>
  policyOf({
    repository: `docker.io/${serviceImage.name}`,
    source: `${registry.address}/${serviceImage.name}`,
    signing,
    attested: ['provenance', 'sbom'],
    evidence: { environment: 'staging', proofs: PROOFS },
  })

/** @returns why not; undefined where it is let in. */
async function refusal(digest: string, policy = policyHere(), repository = `docker.io/${serviceImage.name}`): Promise<string | undefined> {
  const path = join(folder, 'policy.yaml')
  await writeFile(path, stringify(policy))
  const args = ['-policy', path, '-image', `${repository}@${digest}`, '-log-level', 'error']
  const { exitCode, stdout, stderr } = await exec(judge, args, { env: { HOME: folder }, accept: [0, 1] })
  if (exitCode === 0) return undefined
  if (stdout === '') throw new Error(stderr)
  return JSON.parse(stdout).errors.join('\n')
}

/** As the proof on a cluster makes them, of an image that is in prod. */
async function candidatesOf(image: Image): Promise<Readonly<Record<Candidate, string>>> {
  const workload = { spec: { template: { spec: { containers: [{ image: `docker.io/${image.name}@${image.digest}` }] } } } }
  const cluster = { registry: registry.address, kind: 'k3s', kube: { get: async () => workload } }
  return putCandidates({ cluster, environment: 'prod' } as unknown as Context, signing)
}

/** Both the promoted one and all the others, each for its own reason. */
async function expectGuarded(promoted: Image): Promise<void> {
  const candidates = await candidatesOf(promoted)
  assert.is(await refusal(candidates[PROMOTED]), undefined)
  for (const [name, reason] of Object.entries(REFUSED))
    assert.match((await refusal(candidates[name as Candidate])) ?? `${name} is let in`, reason)
}

test(
  `what is promoted is let in, and nothing else beside it, ${ROUNDS} of ${ROUNDS} each`,
  async () => {
    for (let round = 0; round < ROUNDS; round++) await expectGuarded(await vouched(`round ${round}`))
  },
  ROUNDS_TIMEOUT,
)

test('so it is where another key signed for the same digest before, as after a key was replaced', async () => {
  await vouched('two keys', { by: otherSigning })
  await expectGuarded(await vouched('two keys'))
})

const violated: ProvenProof = { ...held('smoke'), verdict: 'violated' }
const UNPROVEN: readonly { readonly what: string; readonly shown: Shown }[] = [
  { what: 'in another environment', shown: { environment: 'dev' } },
  { what: 'of too few proofs', shown: { proofs: [held('smoke')] } },
  { what: 'of a proof that did not hold', shown: { proofs: [violated, held('good-canary-promoted')] } },
  { what: 'of a proof that held in one of two runs', shown: { proofs: [...PROOFS.map(held), violated] } },
]
for (const { what, shown } of UNPROVEN)
  test(`a statement ${what} is no evidence, as promote says`, async () => {
    assert.match((await refusal((await vouched(what, { shown })).digest)) ?? 'let in', REFUSED.unproven)
  })

test('what another key has signed is refused, and an image of another name whatever is attached', async () => {
  const foreign = await vouched('by others', { by: otherSigning })
  assert.match((await refusal(foreign.digest)) ?? 'let in', REFUSED.tampered)
  const { digest } = await vouched('ours')
  assert.match((await refusal(digest, policyHere(), 'docker.io/library/redis')) ?? 'let in', /uncovered by policy/)
})

test('a weaker policy lets them in: it is the policy that refuses', async () => {
  const candidates = await candidatesOf(await vouched('for weaker policies'))
  const policy = policyHere()
  const [{ attestations, ...authority }] = policy.spec.authorities
  const withAuthority = (one: object): KubeObject => ({ ...policy, spec: { ...policy.spec, authorities: [one] } })
  const withoutProofs = attestations.map(({ policy: _, ...each }: { policy?: object }) => each)
  assert.is(await refusal(candidates.unproven, withAuthority({ ...authority, attestations: withoutProofs })), undefined)
  assert.is(await refusal(candidates.unsigned, withAuthority({ name: 'signer', static: { action: 'pass' } })), undefined)
})

test.run()
