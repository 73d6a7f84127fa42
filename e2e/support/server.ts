import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';

const ROOT = path.resolve(import.meta.dirname, '../..');
const START_DEADLINE_MS = 30_000;

export interface Gauges {
  connections: number;
  subscriptions: number;
  spaces: number;
}

/** A demo server of its own on a database of its own. */
export class Server {
  readonly log: string[] = [];
  private process: ChildProcess | null = null;
  private chosen = 0;
  private options: string[] = [];

  private constructor(private readonly folder: string) {}

  static async start(options: string[] = []): Promise<Server> {
    const server = new Server(await mkdtemp(path.join(tmpdir(), 'syncline-e2e-')));
    await server.start(options);
    return server;
  }

  get port(): number {
    return this.chosen;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts on the data and the port of the last run, and with its options unless there are others. */
  async start(options: string[] = this.options): Promise<void> {
    this.options = options;
    const child = spawn(
      binary(),
      [
        ['--data', path.join(this.folder, 'demo.db')],
        ['--port', String(this.chosen)],
        ['--dist', dist()],
        options,
      ].flat(),
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    this.process = child;
    createInterface({ input: child.stderr }).on('line', (line) => this.log.push(line));
    const lines = createInterface({ input: child.stdout });
    lines.on('line', (line) => this.log.push(line));
    this.chosen = await new Promise<number>((resolve, reject) => {
      const late = setTimeout(() => {
        child.kill('SIGKILL');
        fail('did not say that it listens');
      }, START_DEADLINE_MS);
      const fail = (why: string) => {
        clearTimeout(late);
        reject(new Error(`demo-server ${why}\n${this.log.join('\n')}`));
      };
      child.once('error', (error) => fail(error.message));
      child.once('exit', (code, signal) => fail(`ended at once (${signal ?? code})`));
      lines.on('line', (line) => {
        const port = /^listening on http:\/\/[^:]+:(\d+)/.exec(line)?.[1];
        if (port === undefined) return;
        clearTimeout(late);
        child.removeAllListeners('exit');
        resolve(Number(port));
      });
    });
  }

  /** `kill -9`: no handler of the server runs. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Graceful end; gives the exit code. */
  async stop(): Promise<number | null> {
    return this.end('SIGTERM');
  }

  async gauges(): Promise<Gauges> {
    const response = await fetch(`${this.url}/gauges`);
    if (!response.ok) throw new Error(`/gauges answered ${response.status}`);
    return (await response.json()) as Gauges;
  }

  /** Ends the server and removes its data. */
  async dispose(): Promise<void> {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.process;
    this.process = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill(signal);
    return ended;
  }
}

function binary(): string {
  const given = process.env.SYNCLINE_SERVER;
  const places = given ? [given] : ['target/release/demo-server', 'target/debug/demo-server'];
  const found = places.map((place) => path.resolve(ROOT, place)).find(existsSync);
  if (found === undefined) throw new Error(`no demo server at ${places.join(' or ')}: build it or set SYNCLINE_SERVER`);
  return found;
}

function dist(): string {
  const found = path.resolve(ROOT, process.env.SYNCLINE_DIST || 'target/site');
  if (!existsSync(found)) throw new Error(`no web files at ${found}: build them or set SYNCLINE_DIST`);
  return found;
}
