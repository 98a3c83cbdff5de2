/** An expected way for the set-up to stop: `message` is for the user, `exitCode` for the shell (2 usage, 5 machine, 1 build). */
export class SetupError extends Error {
  constructor(message, exitCode = 5) {
    super(message)
    this.name = 'SetupError'
    this.exitCode = exitCode
  }
}
