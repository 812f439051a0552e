"""The lab: everything between a fresh clone and notebooks that run.

    python3 -m lab             install what is missing, run the walkthroughs, open JupyterLab
    python3 -m lab test        every check of the project, the notebooks included
    python3 -m lab run A.ipynb run notebooks without a browser; --save keeps their outputs
    python3 -m lab new FOLDER  make a folder of one's own; open FOLDER opens it in JupyterLab
    python3 -m lab export A.ipynb
                               make a web page of a notebook and its saved outputs, which needs nothing else

Whatever it needs goes into `.lab/`; a user's own Jupyter, kernels and cargo settings are left alone.
One idea a file: the pieces that are installed (`rust`, `program`, `kernelspec`, `jupyter`), the folder in which cells
are compiled (`workspace`, `template`, `warm`), the kernel that compiles them (`kernel`, `furnish`), running a
notebook (`session`, `scan`, `notebook`, `execute`), its web page (`page`, `links`, `export`), and the commands
(`walkthrough`, `checks`, `new`, `browser`).
"""
