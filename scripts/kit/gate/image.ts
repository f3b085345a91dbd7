/**
 * The image gate: what is in the service's image (SBOM by syft), whom it runs as, which known vulnerabilities it carries, and who vouches
 * for it.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { materialOf } from '../../core/provenance.ts'
import { withPackages } from '../../core/sbom.ts'
import { exec } from '../exec.ts'
import { ask } from '../http.ts'
import { createOnce } from '../limit.ts'
import type { BundledPackage } from '../packages.ts'
import { cacheDir, reportsDir } from '../paths.ts'
import type { SpdxDocument, SpdxPackage } from '../syft.ts'
import { type TemporaryFolder, temporaryFolder } from '../temporary.ts'
import { oneLine } from '../text.ts'
import { tool } from '../tools.ts'
import { type Advisory, judgeAdvisories, readPolicy, readSeverity } from './advisories.ts'
import { type ImageArchive, type ObtainImage, readImageConfig } from './archive.ts'
import { type Check, type Gate, goVersionOf, have, type Look, ownVersion } from './gate.ts'
import { type PulledTool, pulledVersion, runPulled } from './pulled.ts'

/** As published by others for this tag; UNVERIFIED by a pull. */
const TRIVY: PulledTool = {
  ref: 'docker.io/aquasec/trivy:0.74.0',
  digest: 'sha256:62b1e65e8869bc4b4c6aa4fa2b21595256c7c2f6018a9d9ad61caf87187c1969',
}
const SYFT = 'local/tools/syft'
const GRYPE = 'local/tools/grype'
const GRYPE_DATABASE = 'https://grype.anchore.io/databases/v6/latest.json'
const DOCKERFILE = 'service/Dockerfile'
const LIST = 'sbom.spdx.json'

/** The image that is looked into. */
export interface GatedImage {
  /** Each check disposes of what it was given. */
  readonly obtain: ObtainImage
  /** What its bundles are made of: no scanner sees that in them. */
  readonly packages: () => Promise<readonly BundledPackage[]>
}

/** @param signature who vouches for it, which its contents do not say */
export function imageGate(image: GatedImage, signature: Check): Gate {
  const once = createOnce<SpdxDocument>() // three checks ask for the list
  const scans = [syft, trivy, grype].map(({ scan, ...check }) => ({
    ...check,
    run: async (look: Look) => scan(await once('list', () => listOf(image, look)), look),
  }))
  return { name: 'image', checks: [userCheck(image), ...scans, signature] }
}

/** All that is in it: what syft finds, and what its bundles are made of. */
async function listOf({ obtain, packages }: GatedImage, { signal }: Look): Promise<SpdxDocument> {
  await using image = await obtain(signal)
  const [found, bundled] = await Promise.all([runSyft(image, signal), packages()])
  return withPackages(found, bundled.map(materialOf))
}

function userCheck({ obtain }: GatedImage): Check {
  return {
    tool: 'image user',
    source: 'ours',
    pin: 'scripts/kit/gate/image.ts',
    about: 'its containers are not root, also where nobody says so',
    version: ownVersion,
    async run({ signal }) {
      await using image = await obtain(signal)
      return await checkUser(image)
    },
  }
}

/** A check that is given the list of all that is in the image. */
type ListCheck = Omit<Check, 'run'> & { readonly scan: (list: SpdxDocument, look: Look) => Promise<string[]> }

const syft: ListCheck = {
  tool: 'syft',
  source: 'Go module',
  pin: `${SYFT}/go.mod`,
  about: 'the list of all that is in it, as SPDX in .holdfast/reports/sbom.spdx.json',
  version: () => goVersionOf(SYFT, 'github.com/anchore/syft'),
  scan: writeSbom,
}

const trivy: ListCheck = {
  tool: 'trivy',
  source: 'pulled',
  pin: 'scripts/kit/gate/image.ts',
  about: 'known vulnerabilities of what is in that list, by its live database',
  version: async () => pulledVersion(TRIVY),
  scan: runTrivy,
}

const grype: ListCheck = {
  tool: 'grype',
  source: 'Go module',
  pin: `${GRYPE}/go.mod`,
  about: 'the same by another live database',
  version: () => goVersionOf(GRYPE, 'github.com/anchore/grype'),
  scan: runGrype,
}

/** A name is resolved in the image, and `runAsNonRoot` refuses what it cannot tell from root. */
async function checkUser(image: ImageArchive): Promise<string[]> {
  const { User = '' } = await readImageConfig(image)
  if (/^[1-9]\d*(:\d+)?$/.test(User)) return []
  return [`${DOCKERFILE}:1 — the image runs as '${User || 'root'}' — end it with USER and a number that is not 0`]
}

async function runSyft({ kind, path }: ImageArchive, signal?: AbortSignal): Promise<SpdxDocument> {
  const program = await have(() => tool('syft', signal), signal)
  // Nothing is asked of the network: not whether there is a newer version, not about licences.
  const options = { env: { SYFT_CHECK_FOR_APP_UPDATE: 'false' }, signal }
  const { stdout } = await exec(program, ['scan', `${kind}:${path}`, '--quiet', '-o', 'spdx-json'], options)
  const found = JSON.parse(stdout) as SpdxDocument
  const inside = found.packages.filter(({ primaryPackagePurpose: purpose }: SpdxPackage & Purpose) => purpose !== 'CONTAINER')
  if (inside.length === 0) throw new Error('syft finds no package in the image, and an empty list says nothing')
  return found
}

interface Purpose {
  readonly primaryPackagePurpose?: string
}

async function writeSbom(list: SpdxDocument): Promise<string[]> {
  await writeFile(join(reportsDir(), LIST), JSON.stringify(list, undefined, 2))
  return []
}

/** A folder with the list in it, for a scanner. */
async function laidOut(list: SpdxDocument): Promise<TemporaryFolder> {
  const folder = await temporaryFolder('sbom')
  await writeFile(join(folder.path, LIST), JSON.stringify(list))
  return folder
}

async function runTrivy(list: SpdxDocument, { root, signal }: Look): Promise<string[]> {
  const cache = join(cacheDir, 'trivy')
  await mkdir(cache, { recursive: true })
  await using folder = await laidOut(list)
  // What it rates how is the policy's to judge; that it names the packages too shows that it has read them.
  const args = ['sbom', '--scanners=vuln', '--format=json', '--list-all-pkgs', '--quiet', '--exit-code=0', `/src/${LIST}`]
  const options = { root: folder.path, network: 'bridge', writes: { '/root/.cache/trivy': cache } } as const
  const { stdout } = await runPulled(TRIVY, args, { ...options, signal })
  return judgeAdvisories(readTrivy(stdout), await readPolicy(root))
}

interface TrivyReport {
  readonly SchemaVersion?: number
  readonly Results?: readonly { readonly Packages?: readonly object[]; readonly Vulnerabilities?: readonly TrivyVulnerability[] }[]
}

interface TrivyVulnerability {
  readonly VulnerabilityID: string
  readonly PkgName: string
  readonly InstalledVersion: string
  readonly Severity: string
  readonly Title?: string
  readonly PrimaryURL?: string
}

/** Trivy's report as advisories; one of nothing is no clean one. Exported for the tests. */
export function readTrivy(stdout: string): Advisory[] {
  const { SchemaVersion, Results = [] } = JSON.parse(stdout) as TrivyReport
  if (SchemaVersion === undefined) throw new Error('trivy gave no report')
  if (!Results.some(({ Packages = [] }) => Packages.length > 0)) throw new Error('trivy has scanned nothing: its report holds no package')
  return Results.flatMap(({ Vulnerabilities = [] }) => Vulnerabilities).map((each) => ({
    id: each.VulnerabilityID,
    aliases: [],
    package: each.PkgName,
    title: `${each.InstalledVersion}: ${each.Title ?? 'no title'}`,
    severity: readSeverity(each.Severity),
    url: each.PrimaryURL ?? `https://avd.aquasec.com/nvd/${each.VulnerabilityID}`,
    file: DOCKERFILE,
  }))
}

async function runGrype(list: SpdxDocument, { root, signal }: Look): Promise<string[]> {
  // It takes minutes to build, and says nothing without its database.
  await have(() => ask('Cannot ask grype’s database', GRYPE_DATABASE, { method: 'HEAD', timeoutMs: 5000, signal }), signal)
  const program = await have(() => tool('grype', signal), signal)
  await using folder = await laidOut(list)
  const env = { GRYPE_CHECK_FOR_APP_UPDATE: 'false', GRYPE_DB_CACHE_DIR: join(cacheDir, 'grype') }
  const args = [`sbom:${join(folder.path, LIST)}`, '--quiet', '-o', 'json']
  const { stdout } = await exec(program, args, { env, signal })
  return judgeAdvisories(readGrype(stdout), await readPolicy(root))
}

interface GrypeMatch {
  readonly vulnerability: { readonly id: string; readonly severity?: string; readonly dataSource?: string; readonly description?: string }
  readonly relatedVulnerabilities?: readonly { readonly id: string }[]
  readonly artifact: { readonly name: string; readonly version: string }
}

/** Grype's report as advisories. Exported for the tests. */
export function readGrype(stdout: string): Advisory[] {
  const { matches } = JSON.parse(stdout) as { readonly matches?: readonly GrypeMatch[] }
  if (matches === undefined) throw new Error('grype gave no report')
  return matches.map(({ vulnerability, relatedVulnerabilities = [], artifact }) => ({
    id: vulnerability.id,
    aliases: relatedVulnerabilities.map(({ id }) => id),
    package: artifact.name,
    title: `${artifact.version}: ${oneLine(vulnerability.description ?? 'no description')}`,
    severity: readSeverity(vulnerability.severity),
    url: vulnerability.dataSource ?? vulnerability.id,
    file: DOCKERFILE,
  }))
}
