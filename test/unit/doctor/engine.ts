/** Raw answers about the engine. */
import * as engine from '../../../local/doctor/engine.ts'
import { type Fixture, fixtures } from './fixture.ts'

const DOWN = 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?'
const DENIED =
  'permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: dial unix /var/run/docker.sock: connect: permission denied'
const HUNG = "'docker version --format …' timed out after 4.0 s"
const engineOf = (answer: { running: false; why: string }, isOurs = false) => ({
  answer,
  isOurs,
  host: undefined,
  platform: 'linux' as const,
})

type Told = readonly [beforeMs: number, afterMs: number, time: string]
const readingOf = ([beforeMs, afterMs, time]: Told) => ({ beforeMs, afterMs, time })
const clockOf = (told: Told | undefined, ...registries: readonly Told[]) => ({
  engine: told && readingOf(told),
  registries: registries.map(readingOf),
})
const NOON_HTTP = 'Mon, 01 Jun 2026 12:00:00 GMT'
const NOON_MS = Date.parse(NOON_HTTP)
const NOON: Told = [NOON_MS, NOON_MS + 60, '2026-06-01T12:00:00.030Z']

export const ENGINE: readonly Fixture[] = [
  ...fixtures(
    engine.engine,
    [
      'a daemon that answers',
      { ...engineOf({ running: false, why: '' }), answer: { running: true, server: { Version: '28.5.1' } } },
      'ok',
      /it answers/,
    ],
    ['the command without its daemon', engineOf({ running: false, why: DOWN }), 'bad', /daemon running\?.*systemctl start docker/s],
    ['the same where local:up starts it', engineOf({ running: false, why: DOWN }, true), 'warn', /none runs.*--fix/s],
    ['no command either', engineOf({ running: false, why: 'bash: line 1: docker: command not found' }, true), 'warn', /none runs/],
    ['a socket of another group', engineOf({ running: false, why: DENIED }), 'bad', /permission denied.*usermod -aG docker/s],
    ['a daemon that hangs', engineOf({ running: false, why: HUNG }, true), 'bad', /timed out.*Restart the engine/s],
    [
      'an address of your own',
      { ...engineOf({ running: false, why: DOWN }, true), isOurs: false, host: 'unix:///tmp/x.sock' },
      'bad',
      /unix:\/\/\/tmp\/x\.sock/,
    ],
    ['a Mac', { ...engineOf({ running: false, why: DOWN }), platform: 'darwin' }, 'bad', /Docker Desktop/],
  ),
  ...fixtures(
    engine.engineVersion,
    ['Debian’s', { Version: '20.10.24+dfsg1', Components: [{ Name: 'Engine' }, { Name: 'containerd' }] }, 'ok', /20\.10\.24/],
    ['an old one', { Version: '19.03.15' }, 'bad', /19\.03\.15.*Install Docker Engine 20\.10/s],
    ['Podman', { Version: '5.4.2', Components: [{ Name: 'Podman Engine' }] }, 'warn', /Podman Engine 5\.4\.2.*never tried/s],
    ['one that says nothing', {}, 'unknown', /says that it is ''/],
  ),
  ...fixtures(
    engine.engineAddress,
    ['a socket', 'unix:///var/run/docker.sock', 'ok', /unix/],
    ['a port of this machine', 'tcp://127.0.0.1:2375', 'warn', /tcp:.*end of a tunnel/s],
    ['a name that begins like it', 'tcp://localhost.example:2375', 'bad', /tcp:.*DOCKER_HOST/s],
    ['another machine', 'tcp://192.0.2.10:2376', 'bad', /tcp:.*DOCKER_HOST/s],
    ['another machine by SSH', 'ssh://root@build.example', 'bad', /ssh:.*context use default/s],
  ),
  ...fixtures(
    engine.snapDocker,
    ['a package', { program: '/usr/bin/docker', rootDir: '/var/lib/docker' }, 'ok', /var\/lib\/docker/],
    [
      'snap’s engine',
      { program: '/snap/bin/docker', rootDir: '/var/snap/docker/common/var-lib-docker' },
      'bad',
      /var\/snap.*snap remove docker/s,
    ],
    ['snap’s command, no engine', { program: '/snap/bin/docker', rootDir: undefined }, 'bad', /\/snap\/bin\/docker/],
    ['no engine', { program: '/usr/bin/docker', rootDir: undefined }, 'unknown', /no engine answers/],
  ),
  ...fixtures(
    engine.clock,
    ['one clock', clockOf([1_000, 1_060, '1970-01-01T00:00:01.030353536Z']), 'ok', /within 60 ms/],
    ['a look that took long is no skew', clockOf([1_000, 3_000, '1970-01-01T00:00:02.5Z']), 'ok', /within 2000 ms/],
    ['a second late', clockOf([10_000, 10_050, '1970-01-01T00:00:09Z']), 'warn', /1000 ms apart.*Restart the engine/s],
    ['a machine that slept', clockOf([900_000, 900_050, '1970-01-01T00:00:09+00:00']), 'bad', /891000 ms apart/],
    ['one that runs ahead', clockOf([10_000, 10_050, '1970-01-01T00:00:20Z']), 'bad', /9950 ms apart/],
    ['no time', clockOf([0, 1, '']), 'unknown', /says that it is ''/],
    ['no engine', clockOf(undefined), 'unknown', /no engine answers/],
    ['the world’s time too, to its second', clockOf(NOON, [NOON_MS + 900, NOON_MS + 950, NOON_HTTP]), 'ok', /within 60 ms/],
    ['a registry that tells no time', clockOf(NOON, [NOON_MS, NOON_MS + 50, 'noon']), 'ok', /within 60 ms/],
    [
      'a machine and its engine that are a minute late together',
      clockOf(NOON, [NOON_MS, NOON_MS + 50, 'Mon, 01 Jun 2026 12:01:00 GMT']),
      'warn',
      /^60 s from that of the registries\nSet this machine’s clock/,
    ],
    [
      'one that is a day ahead, also where no engine answers',
      clockOf(undefined, [NOON_MS, NOON_MS + 50, 'Sun, 31 May 2026 12:00:00 GMT']),
      'bad',
      /^86399 s from that of the registries\n.*timedatectl/,
    ],
    [
      'one registry that is wrong by itself',
      clockOf(NOON, [NOON_MS, NOON_MS + 50, 'Sun, 31 May 2026 12:00:00 GMT'], [NOON_MS, NOON_MS + 50, NOON_HTTP]),
      'ok',
      /within 60 ms/,
    ],
  ),
  ...fixtures(
    engine.credentials,
    ['no settings', { path: 'config.json', config: undefined, helpers: [] }, 'ok', /none/],
    [
      'a helper that is there',
      { path: 'config.json', config: '{"credsStore":"desktop"}', helpers: ['docker-credential-desktop'] },
      'ok',
      /desktop/,
    ],
    [
      'one of Windows within WSL',
      { path: 'config.json', config: '{"credsStore":"desktop.exe"}', helpers: [] },
      'bad',
      /docker-credential-desktop\.exe.*credsStore/s,
    ],
    [
      'one of a single registry',
      { path: 'config.json', config: '{"credHelpers":{"gcr.io":"gcloud"}}', helpers: [] },
      'bad',
      /docker-credential-gcloud/,
    ],
    ['broken settings', { path: 'config.json', config: '{"auths":', helpers: [] }, 'bad', /no JSON.*Mend or remove config\.json/s],
  ),
]
