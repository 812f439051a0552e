"""The lab: everything between a fresh clone and notebooks that run.

    python3 -m lab             install what is missing, run the walkthroughs, open JupyterLab
    python3 -m lab test        every check of the project, the notebooks included
    python3 -m lab run A.ipynb run notebooks without a browser; --save keeps their outputs

Whatever it needs goes into `.lab/`; a user's own Jupyter, kernels and cargo settings are left alone.
One idea a file: the pieces that are installed (`rust`, `evcxr`, `jupyter`), the folder in which cells
are compiled (`workspace`, `template`, `warm`), the kernel that compiles them (`kernel`, `preload`), running a
notebook (`session`, `scan`, `notebook`, `execute`), and the commands (`walkthrough`, `checks`, `browser`).
"""
