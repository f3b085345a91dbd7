/** Raw answers about the processor and programs. */
import * as tools from '../../../local/doctor/tools.ts'
import { type Fixture, fixtures } from './fixture.ts'

const BUILD = { registryAnswers: false, hasImages: false }
const kubectlJson = (gitVersion: string) =>
  JSON.stringify({ clientVersion: { major: '1', gitVersion, platform: 'linux/amd64' }, kustomizeVersion: 'v5.5.0' })

export const TOOLS: readonly Fixture[] = [
  ...fixtures(
    tools.architecture,
    ['a PC', { platform: 'linux', arch: 'x64', engine: { os: 'linux', arch: 'amd64' } }, 'ok', /engine linux amd64/],
    ['a Mac', { platform: 'darwin', arch: 'arm64', engine: { os: 'linux', arch: 'arm64' } }, 'ok', /darwin arm64/],
    ['Windows', { platform: 'win32', arch: 'x64', engine: undefined }, 'bad', /win32.*WSL 2/s],
    ['a 32-bit processor', { platform: 'linux', arch: 'arm', engine: undefined }, 'bad', /linux arm.*x64 or arm64/s],
    ['Windows containers', { platform: 'linux', arch: 'x64', engine: { os: 'windows', arch: 'amd64' } }, 'bad', /Switch the engine/],
    [
      'an emulated engine',
      { platform: 'darwin', arch: 'arm64', engine: { os: 'linux', arch: 'amd64' } },
      'warn',
      /engine linux amd64.*of the processor/s,
    ],
    ['no engine', { platform: 'linux', arch: 'x64', engine: undefined }, 'unknown', /linux x64; no engine answers/],
  ),
  ...fixtures(
    tools.kubectl,
    ['none', undefined, 'ok', /none/],
    ['the same minor', kubectlJson('v1.36.0'), 'ok', /v1\.36\.0/],
    ['one minor below', kubectlJson('v1.35.4+k3s1'), 'ok', /v1\.35\.4/],
    ['four minors below', kubectlJson('v1.32.4'), 'warn', /v1\.32\.4.*Install kubectl 1\.36/s],
    ['one that says nothing', '{}', 'unknown', /says that it is ''/],
    ['two minors above', kubectlJson('v1.38.0'), 'warn', /v1\.38\.0/],
  ),
  ...fixtures(
    tools.go,
    ['new enough', { ...BUILD, goEnv: 'go1.26.8\nlocal\n' }, 'ok', /go1\.26\.8/],
    ['none, and no registry', { ...BUILD, goEnv: undefined }, 'bad', /none on the PATH.*Install Go 1\.26/s],
    ['none, and a registry', { ...BUILD, registryAnswers: true, goEnv: undefined }, 'warn', /none on the PATH/],
    ['none, and the images are here', { ...BUILD, hasImages: true, goEnv: undefined }, 'warn', /none on the PATH/],
    ['old, and it may fetch another', { ...BUILD, goEnv: 'go1.24.3\nauto\n' }, 'warn', /go1\.24\.3, which fetches/],
    ['old, and it may not', { ...BUILD, goEnv: 'go1.24.3\nlocal\n' }, 'bad', /GOTOOLCHAIN=local/],
  ),
  ...fixtures(
    tools.buildBase,
    ['root on Debian', { ...BUILD, isRoot: true, hasDebootstrap: false, hasApt: true }, 'ok', /apt-get/],
    ['not root, and no registry', { ...BUILD, isRoot: false, hasDebootstrap: true, hasApt: true }, 'bad', /not root.*as root on Debian/s],
    ['another system, and no registry', { ...BUILD, isRoot: true, hasDebootstrap: false, hasApt: false }, 'bad', /no debootstrap/],
    [
      'the same, and the images are here',
      { ...BUILD, hasImages: true, isRoot: false, hasDebootstrap: false, hasApt: false },
      'warn',
      /not root/,
    ],
    [
      'the same, and a registry',
      { ...BUILD, registryAnswers: true, isRoot: false, hasDebootstrap: false, hasApt: false },
      'ok',
      /not needed/,
    ],
  ),
  ...fixtures(
    tools.node,
    ['one that packages accept', { running: 'v24.21.0', onPath: 'v24.21.0' }, 'ok', /^v24\.21\.0$/m],
    ['one that hands over', { running: 'v24.21.0', onPath: 'v20.20.2' }, 'ok', /v20\.20\.2; commands run with v24/],
    ['an old one', { running: 'v24.21.0', onPath: 'v18.20.8' }, 'bad', /v18\.20\.8.*Install Node 24/s],
    ['none', { running: 'v24.21.0', onPath: undefined }, 'warn', /none on the PATH/],
  ),
  ...fixtures(tools.npm, ['11', '11.19.1\n', 'ok', /11\.19\.1/], ['an old one', '6.14.18\n', 'bad', /6\.14\.18.*Install Node 24/s]),
  ...fixtures(
    tools.git,
    ['Debian’s', 'git version 2.39.5\n', 'ok', /^2\.39\.5$/m],
    ['Apple’s', 'git version 2.50.1 (Apple Git-155)\n', 'ok', /2\.50\.1/],
    ['an old one', 'git version 2.25.1\n', 'bad', /2\.25\.1.*Install Git 2\.31/s],
    ['none of its versions', 'git version unknown\n', 'unknown', /says that it is 'unknown'/],
  ),
]
