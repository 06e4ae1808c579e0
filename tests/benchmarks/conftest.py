"""Ratios belong beside the times: print what each benchmark found out."""


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    for benchmark in getattr(session, "benchmarks", ()):
        if benchmark.extra_info:
            found = ", ".join(
                f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in benchmark.extra_info.items()
            )
            terminalreporter.write_line(f"{benchmark.name}: {found}")
