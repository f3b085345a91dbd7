/** Terraform's own tests, run on the tree or on a copy that was changed, and read as facts: what each environment would be made of. */
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { messageOf } from '#kit/errors'
import { root as projectRoot } from '#kit/paths'
import { errorsIn, type TerraformEvent } from '../../cloud/events.ts'
import type { RawOutputs } from '../../cloud/outputs.ts'
import type { PlanJson } from '../../cloud/plan.ts'
import { Terraform } from '../../cloud/terraform.ts'

export const CLOUD = join(projectRoot, 'cloud')
export const ROOTS = ['platform', 'bootstrap', 'github'] as const
export type Root = (typeof ROOTS)[number]

/** A test file of Terraform, by `root/file`, with the variables that it is run with. */
export const TEST_FILES = {
  'platform/dev': ['dev'],
  'platform/staging': ['staging'],
  'platform/prod': ['prod'],
  'platform/public': ['prod'],
  'platform/refusals': ['dev'],
  'platform/sizes': [],
  'bootstrap/bucket': [],
  'github/roles': [],
} as const satisfies Record<`${Root}/${string}`, readonly string[]>
export type TestFile = keyof typeof TEST_FILES

/** Those that make nothing: their plans are many, and nobody reads them. */
const WITHOUT_FACTS: readonly TestFile[] = ['platform/refusals', 'platform/sizes']

/** A resource as it was applied, with mocked values where AWS decides. */
export interface Resource {
  readonly address: string
  readonly type: string
  readonly name: string
  readonly index?: string | number
  readonly values: Readonly<Record<string, unknown>>
  /** Addresses of all that was made before it, without indices. */
  readonly depends_on?: readonly string[]
}

export interface Run {
  readonly name: string
  readonly status: string
  /** What Terraform said of it where it is not green. */
  readonly why: string
}

export interface Facts {
  readonly runs: readonly Run[]
  /** As applied; as planned, where nothing is applied. */
  readonly resources: readonly Resource[]
  readonly outputs: RawOutputs
}

const CANNOT_BE_HAD = /^Cannot use Terraform|Failed to (query available provider packages|install provider)/

/** Why neither Terraform nor its provider can be had here; undefined where they can. A tree that is broken is thrown. */
export async function whyNoTerraform(): Promise<string | undefined> {
  const tester = await Tester.open()
  if (typeof tester === 'string') return tester
  await tester[Symbol.asyncDispose]()
  return undefined
}

/** Terraform on the roots of a folder that looks like `cloud/`. The settings are made once and serve every copy: their paths are relative. */
export class Tester implements AsyncDisposable {
  readonly #dataDir: string
  readonly #initialised = new Map<Root, Promise<void>>()

  private constructor(dataDir: string) {
    this.#dataDir = dataDir
  }

  /** @returns why there is none instead, where Terraform or its provider cannot be had. A tree that is broken is thrown. */
  static async open(): Promise<Tester | string> {
    const tester = new Tester(await mkdtemp(join(tmpdir(), 'holdfast-cloud-')))
    try {
      await (await tester.on('platform'))[Symbol.asyncDispose]()
      return tester
    } catch (thrown) {
      await tester[Symbol.asyncDispose]()
      if (!CANNOT_BE_HAD.test(messageOf(thrown))) throw thrown
      return `terraform: ${messageOf(thrown)}`
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#dataDir, { recursive: true, force: true })
  }

  async on(root: Root, cloud = CLOUD): Promise<Terraform> {
    const terraform = await Terraform.open({ folder: join(cloud, root), dataDir: join(this.#dataDir, root) })
    const begun = this.#initialised.get(root) ?? terraform.init('none')
    this.#initialised.set(root, begun)
    await begun
    return terraform
  }

  /** @returns Terraform's own diagnostics, warnings too. */
  async validate(root: Root): Promise<readonly unknown[]> {
    await using terraform = await this.on(root)
    const { stdout } = await terraform.run(['validate', '-json'], { what: `Cannot validate ${root}`, accept: [0, 1] })
    return (JSON.parse(stdout) as { diagnostics: unknown[] }).diagnostics
  }

  /** Runs one test file. Nothing is reached: the provider is mocked. */
  async facts(file: TestFile, cloud = CLOUD): Promise<Facts> {
    const [root, name] = file.split('/') as [Root, string]
    await using terraform = await this.on(root, cloud)
    const varFiles = TEST_FILES[file].map((environment) => `-var-file=../environments/${environment}.tfvars`)
    const verbose = WITHOUT_FACTS.includes(file) ? [] : ['-verbose']
    const args = ['test', '-json', ...verbose, `-filter=tests/${name}.tftest.hcl`, ...varFiles]
    const { events } = await terraform.run(args, { what: `Cannot test ${file}`, accept: [0, 1] })
    return readFacts(events as readonly TestEvent[])
  }
}

interface TestEvent extends TerraformEvent {
  readonly '@testrun'?: string
  readonly test_abstract?: Readonly<Record<string, readonly string[]>>
  readonly test_run?: { readonly run: string; readonly progress: string; readonly status?: string }
  readonly test_plan?: PlanJson
  readonly test_state?: { readonly outputs?: RawOutputs; readonly root_module?: Module }
}

interface Module {
  readonly resources?: readonly Resource[]
  readonly child_modules?: readonly Module[]
}

/** A run that was announced and never told its result has failed: a configuration that cannot be read ends before any. */
function readFacts(events: readonly TestEvent[]): Facts {
  const announced = events.flatMap(({ test_abstract: files = {} }) => Object.values(files).flat())
  const state = events.findLast((event) => event.test_state !== undefined)?.test_state
  const plan = events.find((event) => event.test_plan !== undefined)?.test_plan
  const why = (run: string) =>
    errorsIn(events.filter((event) => event['@testrun'] === undefined || event['@testrun'] === run))
      .map(({ summary, detail }) => `${summary}: ${detail}`)
      .join('\n')
  const runs = announced.map((name) => {
    const ended = events.find(({ test_run: run }) => run?.run === name && run.progress === 'complete')
    return { name, status: ended?.test_run?.status ?? 'not run', why: why(name) }
  })
  return {
    runs: runs.length > 0 ? runs : [{ name: 'any', status: 'not run', why: why('any') }],
    resources: state === undefined ? plannedIn(plan) : resourcesOf(state.root_module),
    outputs: state?.outputs ?? {},
  }
}

function resourcesOf(module: Module = {}): Resource[] {
  const own = (module.resources ?? []).filter(({ address }) => !/(^|\.)data\./.test(address))
  return [...own, ...(module.child_modules ?? []).flatMap(resourcesOf)]
}

function plannedIn({ resource_changes: changes = [] }: Partial<PlanJson> = {}): Resource[] {
  return changes.flatMap(({ mode, change, ...resource }) => (mode === 'managed' ? [{ ...resource, values: change.after ?? {} }] : []))
}

/** Leaves of a test file the run of that name alone: a mutant is looked at by the one run that must notice it. */
export async function keepRun(file: TestFile, run: string, cloud: string): Promise<void> {
  const [root, name] = file.split('/') as [Root, string]
  const path = join(cloud, root, 'tests', `${name}.tftest.hcl`)
  const [head, ...runs] = (await readFile(path, 'utf8')).split(/^(?=run ")/m)
  const kept = runs.filter((text) => text.startsWith(`run "${run}" {`))
  if (kept.length !== 1) throw new Error(`'${run}' stands ${kept.length} times in ${path}`)
  await writeFile(path, [head, ...kept].join(''))
}

export interface Change {
  /** Relative to `cloud/`. */
  readonly file: string
  readonly from: string
  readonly to: string
}

/** A copy of `cloud/` in which texts are others. @throws where one is not there exactly once: the change would be none, or another. */
export async function changedCopy(changes: readonly Change[]): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-cloud-'))
  await cp(CLOUD, path, { recursive: true })
  for (const { file, from, to } of changes) {
    const text = await readFile(join(path, file), 'utf8')
    if (text.split(from).length !== 2) throw new Error(`'${from}' stands ${text.split(from).length - 1} times in cloud/${file}`)
    await writeFile(
      join(path, file),
      text.replace(from, () => to),
    )
  }
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
