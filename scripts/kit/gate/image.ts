/**
 * The image gate: what is in the service's image (SBOM by syft), whom it runs as, and which known vulnerabilities it carries.
 */
import { mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { exec } from '../exec.ts'
import { ask } from '../http.ts'
import { cacheDir, reportsDir } from '../paths.ts'
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

/** @param obtain the image; each check disposes of what it was given */
export function imageGate(obtain: ObtainImage): Gate {
  const withImage = (work: (image: ImageArchive, look: Look) => Promise<string[]>) => async (look: Look) => {
    await using image = await obtain(look.signal)
    return await work(image, look)
  }
  const user: Check = {
    tool: 'image user',
    source: 'ours',
    pin: 'scripts/kit/gate/image.ts',
    about: 'its containers are not root, also where nobody says so',
    version: ownVersion,
    run: withImage(checkUser),
  }
  const syft: Check = {
    tool: 'syft',
    source: 'Go module',
    pin: `${SYFT}/go.mod`,
    about: 'the list of all that is in it, as SPDX in .holdfast/reports/sbom.spdx.json',
    version: () => goVersionOf(SYFT, 'github.com/anchore/syft'),
    run: withImage(writeSbom),
  }
  const trivy: Check = {
    tool: 'trivy',
    source: 'pulled',
    pin: 'scripts/kit/gate/image.ts',
    about: 'vulnerabilities that are rated high or critical, by its live database',
    version: async () => pulledVersion(TRIVY),
    run: withImage(runTrivy),
  }
  const grype: Check = {
    tool: 'grype',
    source: 'Go module',
    pin: `${GRYPE}/go.mod`,
    about: 'the same by another live database',
    version: () => goVersionOf(GRYPE, 'github.com/anchore/grype'),
    run: withImage(runGrype),
  }
  // What is signed, and by whom, is checked here as well once images are signed.
  return { name: 'image', checks: [user, syft, trivy, grype] }
}

/** A name is resolved in the image, and `runAsNonRoot` refuses what it cannot tell from root. */
async function checkUser(image: ImageArchive): Promise<string[]> {
  const { User = '' } = await readImageConfig(image)
  if (/^[1-9]\d*(:\d+)?$/.test(User)) return []
  return [`${DOCKERFILE}:1 — the image runs as '${User || 'root'}' — end it with USER and a number that is not 0`]
}

interface Spdx {
  readonly packages?: readonly { readonly name: string; readonly primaryPackagePurpose?: string }[]
}

async function writeSbom({ kind, path }: ImageArchive, { signal }: Look): Promise<string[]> {
  const program = await have(() => tool('syft', signal), signal)
  const file = join(reportsDir(), 'sbom.spdx.json')
  // Nothing is asked of the network: not whether there is a newer version, not about licences.
  const env = { SYFT_CHECK_FOR_APP_UPDATE: 'false' }
  const { stdout } = await exec(program, ['scan', `${kind}:${path}`, '--quiet', '-o', 'spdx-json', '-o', `spdx-json=${file}`], {
    env,
    signal,
  })
  const { packages = [] } = JSON.parse(stdout) as Spdx
  const inside = packages.filter(({ primaryPackagePurpose: purpose }) => purpose !== 'CONTAINER')
  return inside.length > 0 ? [] : [`${DOCKERFILE}:1 — syft finds no package in the image — an empty list says nothing`]
}

async function runTrivy({ path }: ImageArchive, { root, signal }: Look): Promise<string[]> {
  const cache = join(cacheDir, 'trivy')
  await mkdir(cache, { recursive: true })
  const args = ['image', '--input', `/src/${basename(path)}`, '--scanners=vuln', '--severity=CRITICAL,HIGH', '--format=json', '--quiet']
  const options = { root: dirname(path), network: 'bridge', writes: { '/root/.cache/trivy': cache } } as const
  const { stdout } = await runPulled(TRIVY, [...args, '--exit-code=0'], { ...options, signal })
  return judgeAdvisories(readTrivy(stdout), await readPolicy(root))
}

interface TrivyReport {
  readonly SchemaVersion?: number
  readonly Results?: readonly { readonly Vulnerabilities?: readonly TrivyVulnerability[] }[]
}

interface TrivyVulnerability {
  readonly VulnerabilityID: string
  readonly PkgName: string
  readonly InstalledVersion: string
  readonly Severity: string
  readonly Title?: string
  readonly PrimaryURL?: string
}

/** Trivy's report as advisories. Exported for the tests. */
export function readTrivy(stdout: string): Advisory[] {
  const { SchemaVersion, Results = [] } = JSON.parse(stdout) as TrivyReport
  if (SchemaVersion === undefined) throw new Error('trivy gave no report')
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

async function runGrype({ kind, path }: ImageArchive, { root, signal }: Look): Promise<string[]> {
  // It takes minutes to build, and says nothing without its database.
  await have(() => ask('Cannot ask grype’s database', GRYPE_DATABASE, { method: 'HEAD', timeoutMs: 5000, signal }), signal)
  const program = await have(() => tool('grype', signal), signal)
  const env = { GRYPE_CHECK_FOR_APP_UPDATE: 'false', GRYPE_DB_CACHE_DIR: join(cacheDir, 'grype') }
  const { stdout } = await exec(program, [`${kind}:${path}`, '--quiet', '-o', 'json'], { env, signal })
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
