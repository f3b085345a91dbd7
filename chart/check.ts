/** The gate over the chart and the manifests: what helm says of it, whether the API server would take it, and the policies of its environments. */
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { objectsOf } from '#core'
import { exec } from '#kit/exec'
import { type Check, type Gate, goVersionOf, have, type Look, npmVersion, ownVersion } from '#kit/gate/gate'
import type { KubeObject } from '#kit/kube'
import { createOnce } from '#kit/limit'
import { createSchemas } from '#kit/schemas'
import { temporaryFolder } from '#kit/temporary'
import { oneLine } from '#kit/text'
import { tool } from '#kit/tools'
import { readPolicies } from './policies.ts'

const HELM = 'local/tools/helm'
const KUBECONFORM = 'local/tools/kubeconform'
const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`

/** What Git would hold for a cluster, the definitions of the kinds among it. */
export type Previews = Readonly<Record<'cloud' | 'local', () => Promise<readonly KubeObject[]>>>

export function chartGate(previews: Previews): Gate {
  // Two checks look at each, and run side by side.
  const previewed = createOnce<readonly KubeObject[]>()
  const preview = (name: keyof Previews) => previewed(name, previews[name])
  const rendered = createOnce<Rendering[]>()
  const renderedIn = (look: Look) => rendered(look.root, () => renderings(look))
  const kubeconform: Check = {
    tool: 'kubeconform',
    source: 'Go module',
    pin: `${KUBECONFORM}/go.mod`,
    about: 'what each values file renders, the policies, and every manifest of the stack, by the schemas of the pinned Kubernetes',
    version: () => goVersionOf(KUBECONFORM, 'github.com/yannh/kubeconform'),
    async run(look) {
      const program = await have(() => tool('kubeconform', look.signal), look.signal)
      return runKubeconform(program, {
        cloud: await preview('cloud'),
        local: await preview('local'),
        rendered: await renderedIn(look),
        ...look,
      })
    },
  }
  const digests: Check = {
    tool: 'digests',
    source: 'ours',
    pin: 'chart/check.ts',
    about: 'every image that the cloud would run is named by its digest',
    version: ownVersion,
    run: async () => taggedImages(await preview('cloud')),
  }
  return { name: 'chart', checks: [helmLint, kubeconform, policyCheck(renderedIn), digests] }
}

const helmLint: Check = {
  tool: 'helm',
  source: 'Go module',
  pin: `${HELM}/go.mod`,
  about: 'helm lint with each values file',
  version: () => goVersionOf(HELM, 'helm.sh/helm/v4'),
  async run({ root, signal }) {
    const found = await eachValuesFile(root, async (file) => {
      const { stdout, stderr, exitCode } = await helm(['lint', '--strict', join(root, 'chart'), ...valuesOf(root, file)], {
        accept: [0, 1],
        signal,
      })
      const said = `${stdout}\n${stderr}`.split('\n').filter((line) => !/^(==>|\[INFO\]|\s*$)/.test(line))
      if (exitCode === 0) return []
      return [`chart/${file}:1 — helm lint: ${oneLine(said.join(' '))} — mend the chart`]
    })
    return found.flat()
  },
}

const policyCheck = (renderedIn: (look: Look) => Promise<Rendering[]>): Check => ({
  tool: 'policies',
  source: 'ours',
  pin: 'package.json',
  about: 'what each values file renders, by the policies that its environments enforce (CEL by @marcbachmann/cel-js)',
  version: () => npmVersion('@marcbachmann/cel-js'),
  async run(look) {
    const policies = await readPolicies(look.root)
    if (policies.length === 0) return ['chart/policies:1 — holds no policy — put one back']
    const { judgeObject } = await import('./policy.ts') // a twentieth of a second that only this check waits for
    return (await renderedIn(look)).flatMap(({ file, objects }) =>
      objects.flatMap((object) =>
        judgeObject(object, policies).map(
          ({ policy, message }) => `chart/${file}:1 — ${object.kind} ${object.metadata.name} is refused by ${policy} — ${message}`,
        ),
      ),
    )
  },
})

interface HelmOptions {
  readonly accept?: readonly number[]
  readonly signal: AbortSignal | undefined
}

async function helm(args: readonly string[], { signal, accept = [0] }: HelmOptions) {
  const program = await have(() => tool('helm', signal), signal)
  return exec(program, args, { accept, env: { HELM_NO_PLUGINS: '1' }, signal })
}

const valuesOf = (root: string, file: string) => ['--values', join(root, 'chart', file), '--set', `image.digest=${DIGEST}`]

async function eachValuesFile<T>(root: string, work: (file: string) => Promise<T>): Promise<T[]> {
  const files = (await readdir(join(root, 'chart'))).filter((name) => /^values.*\.yaml$/.test(name)).sort()
  if (files.length === 0) throw new Error('chart/ holds no values file')
  return Promise.all(files.map(work))
}

interface Rendering {
  readonly file: string
  readonly objects: readonly KubeObject[]
}

/** By values file, both kinds of workload: what an environment is rolled out with is a value too. */
async function renderings({ root, signal }: Look): Promise<Rendering[]> {
  const render = async (file: string, kind: string) => {
    const args = [
      'template',
      'service',
      join(root, 'chart'),
      '--namespace',
      'dev',
      ...valuesOf(root, file),
      '--set',
      `workload.kind=${kind}`,
    ]
    const { stdout } = await helm(args, { signal })
    return objectsOf(stdout)
  }
  return eachValuesFile(root, async (file) => {
    const objects = (await Promise.all(['Deployment', 'Rollout'].map((kind) => render(file, kind)))).flat()
    if (objects.length === 0) throw new Error(`chart/${file} renders nothing`)
    return { file, objects }
  })
}

interface KubeconformOptions extends Look {
  readonly cloud: readonly KubeObject[]
  readonly local: readonly KubeObject[]
  readonly rendered: readonly Rendering[]
}

interface KubeconformReport {
  readonly resources: readonly {
    readonly filename: string
    readonly kind: string
    readonly name: string
    readonly status: string
    readonly msg: string
  }[]
}

async function runKubeconform(program: string, { cloud, local, rendered, ...look }: KubeconformOptions): Promise<string[]> {
  await using folder = await temporaryFolder('chart')
  const isDefinition = ({ kind }: KubeObject) => kind === 'CustomResourceDefinition'
  const definitions = [...cloud, ...local].filter(isDefinition)
  const policies = { file: 'policies', objects: (await readPolicies(look.root)).flatMap(({ objects }) => objects) }
  // A definition is upstream's own, and its schema of schemas a large one.
  const stacks = Object.entries({ cloud, local }).map(([file, objects]) => ({
    file,
    objects: objects.filter((each) => !isDefinition(each)),
  }))
  const all = [...rendered, policies, ...stacks]
  await writeSchemas(folder.path, { definitions, objects: all.flatMap(({ objects }) => objects) })
  const files = all.map(async ({ file, objects }) => {
    const path = join(folder.path, `${file}.json`)
    await writeFile(path, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
    return path
  })
  const args = ['-output=json', '-strict', `-schema-location=${folder.path}/{{.ResourceKind}}{{.KindSuffix}}.schema.json`]
  const { stdout } = await exec(program, [...args, ...(await Promise.all(files))], { accept: [0, 1], signal: look.signal })
  const { resources } = JSON.parse(stdout) as KubeconformReport
  return resources.map(({ filename, kind, name, msg }) => {
    const file = filename.slice(folder.path.length + 1, -'.json'.length)
    const isStack = stacks.some((each) => each.file === file)
    const place = isStack ? `holdfast.config.ts:1 — of what the ${file} cluster runs, ` : `chart/${file}:1 — `
    return `${place}${kind} ${name}: ${oneLine(msg)} — mend the ${isStack ? 'manifest' : 'template'}`
  })
}

interface SchemaRequest {
  readonly definitions: readonly KubeObject[]
  readonly objects: readonly KubeObject[]
}

/** A file for each kind, by the name under which kubeconform looks for it. */
async function writeSchemas(folder: string, { definitions, objects }: SchemaRequest): Promise<void> {
  const schemaOf = await createSchemas(definitions)
  for (const { apiVersion, kind } of objects) {
    const [group = '', version = group] = apiVersion.split('/')
    const suffix = apiVersion.includes('/') ? `${group.split('.')[0]}-${version}` : version
    const path = join(folder, `${kind}-${suffix}.schema.json`.toLowerCase())
    if (!existsSync(path)) await writeFile(path, JSON.stringify(await schemaOf({ apiVersion, kind })))
  }
}

/** A tag may name another image tomorrow; on a machine of one's own it is the image that was built just now. */
function taggedImages(objects: readonly KubeObject[]): string[] {
  const named = objects.flatMap((object) =>
    [...JSON.stringify(object).matchAll(/"image":"([^"]+)"/g)].map(([, image = '']) => ({ object, image })),
  )
  if (named.length === 0) return ['holdfast.config.ts:1 — nothing with an image is rendered for the cloud — mend the stack']
  return named
    .filter(({ image }) => !/@sha256:[0-9a-f]{64}$/.test(image))
    .map(
      ({ object, image }) =>
        `holdfast.config.ts:1 — ${object.kind} ${object.metadata.name} runs '${image}' in the cloud — name it by its digest`,
    )
}
